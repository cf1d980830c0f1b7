"""The base of every class of settings: a table of ``seawall.toml`` with its environment variables."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar, Unpack, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, SecretBytes, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from seawall.problems import ConfigurationError
from seawall.units import seconds, size

__all__ = ["AppSettings", "Reloadable", "Seconds", "Size", "Table", "Unit", "Variable", "WholeSeconds"]

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class Unit:
    """``Annotated`` metadata: what a number counts, and how its values may be written."""

    name: str
    examples: str


@dataclasses.dataclass(frozen=True, slots=True)
class Variable:
    """``Annotated`` metadata: a further environment variable that sets the field, by its whole name.

    For variables that others decide on. The table's own variable wins::

        database_url: Annotated[str, Variable("SEAWALL_DATABASE_URL")] = "sqlite:///store.db"
    """

    name: str


class _Reload:
    """``Annotated`` metadata: the setting may change while the service runs."""


_SECONDS = Unit("seconds", '30, "30s", "500ms", "2m"')

Size = Annotated[int, BeforeValidator(size), Unit("bytes", '1048576, "1 MiB", "10 MB"')]
"""Bytes; written as a number or with a unit."""

Seconds = Annotated[float, BeforeValidator(seconds), _SECONDS]
"""Seconds; written as a number or with a unit."""

WholeSeconds = Annotated[int, BeforeValidator(seconds), _SECONDS]
"""As `Seconds`, without fractions."""

Reloadable = Annotated[T, _Reload()]
"""A setting that may change while the service runs: ``level: Reloadable[Level]``."""


class Table(BaseSettings):
    """One table of ``seawall.toml``: a frozen value with typed, described fields.

    Made directly it takes its arguments and the defaults, and looks at nothing else; `seawall.settings.load`
    and `AppSettings.load` read the environment and the file.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_nested_delimiter="__",
        validate_default=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )
    toml_table: ClassVar[str] = ""

    def __init_subclass__(
        cls, *, table: str | None = None, env_prefix: str | None = None, **config: Unpack[ConfigDict]
    ) -> None:
        """Take the class keywords; pydantic itself puts *env_prefix* into ``model_config``."""
        super().__init_subclass__(**config)
        if table is not None:
            cls.toml_table = table

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - as pydantic-settings calls it
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the arguments as the only source; `Reader` brings the others and knows which said what."""
        return (init_settings,)

    @classmethod
    def prefix(cls) -> str:
        """Return what the names of its environment variables begin with."""
        return cls.model_config.get("env_prefix") or f"{cls.toml_table.upper()}_"

    @classmethod
    def variable(cls, field: str) -> str:
        """Return the name of the environment variable that sets *field*."""
        return f"{cls.prefix()}{field.upper()}"


class AppSettings(Table):
    """Base for an application's own settings: from the same file, with the same error messages.

    ::

        class StoreSettings(AppSettings, table="storefront"):
            page_size: int = Field(default=20, ge=1, le=100, description="Products on a page.")

        settings = StoreSettings.load()

    reads ``page_size`` from the environment variable ``STOREFRONT_PAGE_SIZE``, else from the table
    ``[storefront]`` of ``seawall.toml``, else takes the default. All variables with that prefix must be
    settings of the class; ``env_prefix="SHOP_"`` chooses another one.

    Raises:
        ConfigurationError: At the definition: *table* is missing, not a lower-case name, or too near to one
            of Seawall's own; *env_prefix* is not upper-case letters that end in ``_``, or begins with
            ``SEAWALL_``; a field has an alias.
    """

    @classmethod
    def load(cls, path: Path | None = None, environ: Mapping[str, str] | None = None) -> Self:
        """Read the environment over the file over the defaults. See `seawall.settings.load` for the arguments.

        Raises:
            SettingsError: Something is wrong; the message lists all of it.
        """
        from seawall.settings.loading import load_table  # noqa: PLC0415 - it imports this module

        return load_table(cls, path, environ)

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        from seawall.settings.loading import near_own_table  # noqa: PLC0415 - it imports this module

        name = f"settings class {cls.__name__!r}"
        table, prefix = cls.toml_table, cls.prefix()
        if not re.fullmatch(r"[a-z][a-z0-9_]*", table):
            raise ConfigurationError(
                f"{name}: table={table!r} is not a lower-case name; write class {cls.__name__}(AppSettings, "
                'table="storefront").'
            )
        if own := near_own_table(table):
            raise ConfigurationError(
                f"{name}: table={table!r} is, or reads like, Seawall's own [{own}]; choose another."
            )
        if not re.fullmatch(r"[A-Z][A-Z0-9_]*_", prefix) or prefix.startswith("SEAWALL_"):
            raise ConfigurationError(
                f"{name}: env_prefix={prefix!r} must be upper-case, end in '_' and not begin with 'SEAWALL_'; "
                'write env_prefix="STOREFRONT_", or leave it out.'
            )
        for field_name, field in cls.model_fields.items():
            if field.alias or field.validation_alias:
                raise ConfigurationError(
                    f"{name}: field {field_name!r} has an alias, so its setting would not be named as the field; "
                    'rename the field, or add an environment variable with Annotated[…, Variable("NAME")].'
                )


def is_secret(field: FieldInfo) -> bool:
    """Whether *field* holds a `SecretStr` or `SecretBytes`: alone, within another type or in a nested model."""
    return any(issubclass(part, SecretStr | SecretBytes) for part in _types_in(field.annotation, set()))


def is_reloadable(field: FieldInfo) -> bool:
    """Whether *field* may change while the service runs."""
    return any(isinstance(item, _Reload) for item in field.metadata)


def metadata_of(field: FieldInfo, kind: type[T]) -> T | None:
    """Return the field's ``Annotated`` metadata of that kind, if any."""
    return next((item for item in field.metadata if isinstance(item, kind)), None)


def _types_in(annotation: Any, seen: set[type]) -> set[type]:
    for argument in get_args(annotation):
        _types_in(argument, seen)
    if isinstance(annotation, type) and annotation not in seen:
        seen.add(annotation)
        for field in annotation.model_fields.values() if issubclass(annotation, BaseModel) else ():
            _types_in(field.annotation, seen)
    return seen
