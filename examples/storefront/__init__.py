"""The storefront: a small shop's users, products and orders, served with Seawall.

Read it in this order: `types` (what callers send and get), `service` (what is served, and what it works with),
`api_users`, `api_products` and `api_orders` (the operations), `users`, `products` and `orders` (the rules of the
shop), `outside` and `providers` (whom the shop calls, and what stands around those calls), `payments`, `shipping`,
`currency`, `dashboard` and `api_providers` (what it does with their help), `problems` (what callers can do wrong),
`database` and `tables` (where it is kept), `cursor` (how long lists are read in pages), `dataset`, `load`, `seed` and
`chinook` (where the data comes from), `cli` (the commands), `demo` with `process`, `traffic`, `storm` and `tally` (a
minute of customers, and of faults).
"""
