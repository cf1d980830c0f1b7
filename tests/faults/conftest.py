from support.stores import postgres_database, redis_url

__all__ = ["postgres_database", "redis_url"]
