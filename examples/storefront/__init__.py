"""The storefront: a small shop's users, products and orders, served with Seawall.

Read it in this order: `types` (what callers send and get), `database` and `tables` (where it is kept),
`users`, `products` and `orders` (the rules of the shop), `problems` (what callers can do wrong), `cursor`
(how long lists are read in pages), `dataset`, `load`, `seed` and `chinook` (where the data comes from),
`cli` (the commands).
"""
