"""The storefront, whole: ``seawall run storefront.app:service``."""

from __future__ import annotations

from storefront import api_identity, api_orders, api_products, api_providers, api_users, dashboard, outside, pages
from storefront.service import service

__all__ = [
    "api_identity",
    "api_orders",
    "api_products",
    "api_providers",
    "api_users",
    "dashboard",
    "outside",
    "pages",
    "service",
]
