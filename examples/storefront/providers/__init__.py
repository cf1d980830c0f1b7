"""What the store calls: a payment provider, a carrier, and rates of exchange; each a small service of its own.

`contracts` says what they offer, `payments`, `shipping` and `currency` are the services, and `faults` lets them be
slow, fail, refuse, or break off: ``PUT /faults``. They keep what they know in memory: they are here to be called.
"""
