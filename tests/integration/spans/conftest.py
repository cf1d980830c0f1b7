from support.stores import mysql_url, postgres_database, redis_url

__all__ = ["mysql_url", "postgres_database", "redis_url"]
