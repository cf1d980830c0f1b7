"""A service whose settings come from outside."""

# region: own
from pydantic import Field

from seawall import Service
from seawall.settings import AppSettings


class LibrarySettings(AppSettings, table="library"):
    """The settings of the library."""

    shelf: str = Field("A", max_length=3, description="Where new books go.")
    loan_days: int = Field(14, ge=1, le=90, description="How long a reader keeps a book.")


service = Service("library", timeout=5)


@service.resource
def library_settings() -> LibrarySettings:
    """Read them when the service starts."""
    return LibrarySettings.load()


@service.get("/rules")
async def read_rules(settings: LibrarySettings) -> dict[str, object]:
    """Say what holds here."""
    return {"shelf": settings.shelf, "days": settings.loan_days}


# endregion


@service.get("/report", timeout=20)
async def write_report() -> str:
    """Take its time."""
    return "done"
