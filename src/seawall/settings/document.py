"""The reference of all settings, written from their declarations."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from pydantic.fields import FieldInfo

from seawall.settings.describing import bounds, default_text, kind
from seawall.settings.loading import OWN_TABLES
from seawall.settings.table import Table, Unit, is_reloadable, metadata_of

__all__ = ["document"]

_HEAD = """\
# Settings

<!-- Written by `python -m seawall.settings`; change the declarations in `seawall/settings/`, not this file. -->

Every setting has a default that is safe in production. What is set in the environment wins over the file, and the
file over the defaults. The file is `seawall.toml` in the working directory, or the one that `SEAWALL_CONFIG` names;
then it must exist.

A setting that is wrong, an unknown one, and an unknown variable that begins with `SEAWALL_` keep the service from
starting; the message lists all of them, each with where it came from and the fix.

- Sizes are bytes: `1048576`, `"512 KiB"`, `"10 MB"` (kB, MB, GB, TB are powers of 1,000; KiB, MiB, GiB, TiB of 1,024).
- Durations are seconds: `30`, `"500ms"`, `"30s"`, `"2m"`, `"1h"`, `"1d"`.
- Lists are separated by commas in the environment: `SEAWALL_HTTP_TRUSTED_HOSTS="shop.example.com, *.example.com"`.
- Reload: whether the setting may change while the service runs; the others wait for a restart.

```toml
# seawall.toml
[http]
max_body = "2 MiB"
cors_origins = ["https://shop.example.com"]

[operations.read_order]
timeout = "500ms"
```
"""

_TAIL = """
## `[operations.NAME]`

Options of the policy of one operation, laid over those in the code; any option of a policy. They may change while
the service runs. `"none"` stands for Python's `None`.

| in the file | in the environment |
|---|---|
| `[operations.read_order]` `timeout = "500ms"` | `SEAWALL_OPERATIONS__READ_ORDER__TIMEOUT=500ms` |

In the environment the operation's name is in capitals; an operation whose name has other characters than lower-case
letters, digits and underscores is set in the file. A value is read as JSON if it is JSON (`true`, `5`, `null`), and
as text otherwise.

## Variables for the application

`SEAWALL_DATABASE_URL`, `SEAWALL_REDIS_URL` and `SEAWALL_BROKER_URL` are the addresses of the database, of Redis and of
the message broker. Seawall itself reads none of them yet; an application does, with a field of its own
settings class:

```python
class StoreSettings(AppSettings, table="storefront"):
    page_size: int = Field(default=20, ge=1, le=100, description="Products on a page.")
    database_url: Annotated[str, Variable("SEAWALL_DATABASE_URL")] = "sqlite+aiosqlite:///storefront.db"
```

`StoreSettings.load()` reads `STOREFRONT_PAGE_SIZE`, or `page_size` under `[storefront]` in the same file.
"""


def document() -> str:
    """Return the reference as Markdown."""
    return _HEAD + "".join(_section(table) for table in OWN_TABLES) + _TAIL


def _section(table: type[Table]) -> str:
    lines = [
        "",
        f"## `[{table.toml_table}]`",
        "",
        inspect.cleandoc(table.__doc__ or ""),
        "",
        "| setting | environment variable | type | default | reload | |",
        "|---|---|---|---|---|---|",
        *(_row(table, name, field) for name, field in table.model_fields.items()),
        "",
    ]
    return "\n".join(lines)


def _row(table: type[Table], name: str, field: FieldInfo) -> str:
    default = default_text(field)
    cells = (
        f"`{name}`",
        f"`{table.variable(name)}`",
        ", ".join(_type(field)),
        f"`{default}`" if default is not None else "none",
        "yes" if is_reloadable(field) else "no",
        field.description or "",
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _type(field: FieldInfo) -> Iterator[str]:
    unit = metadata_of(field, Unit)
    yield unit.name if unit else kind(field.annotation)
    if limits := bounds(field):
        yield limits
