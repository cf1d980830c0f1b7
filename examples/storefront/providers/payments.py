"""The payment provider: ``seawall run storefront.providers.payments:service``."""

from __future__ import annotations

from seawall import Service
from storefront.providers.contracts import CardDeclined, Charge, NewCharge, NoSuchCharge, PaymentStats, Refund
from storefront.providers.faults import faulty

__all__ = ["Books", "BuiltInPayments", "service"]


class Books:
    """Who paid what. Cards whose names begin with ``declined`` are."""

    def __init__(self) -> None:
        self._charges: dict[str, Charge] = {}
        self._refunded: set[str] = set()
        self._declined = 0

    async def charge(self, charge: NewCharge) -> Charge:
        """Take money, as often as it is asked for.

        Raises:
            CardDeclined: The bank says no.
        """
        if charge.card.startswith("declined"):
            self._declined += 1
            raise CardDeclined("The bank does not say why.")
        made = Charge(f"ch-{len(self._charges) + 1}", charge.reference, charge.amount, charge.currency)
        self._charges[made.id] = made
        return made

    async def refund(self, charge_id: str) -> Refund:
        """Give it back; a second time changes nothing.

        Raises:
            NoSuchCharge: Nothing was charged under that id.
        """
        charge = self._charges.get(charge_id)
        if charge is None:
            raise NoSuchCharge(f"There is no charge {charge_id}.")
        self._refunded.add(charge_id)
        return Refund(charge_id, charge.amount)

    async def stats(self) -> PaymentStats:
        """Count."""
        references = {charge.reference for charge in self._charges.values() if charge.id not in self._refunded}
        return PaymentStats(len(self._charges), len(references), len(self._refunded), self._declined)


class BuiltInPayments(Books):
    """The provider within the store, where no other is configured; keys are remembered as the service does."""

    def __init__(self) -> None:
        super().__init__()
        self._by_key: dict[str, Charge] = {}

    async def charge(self, charge: NewCharge, *, idempotency_key: str = "") -> Charge:
        """Take money; the same key takes it once.

        Raises:
            CardDeclined: The bank says no.
        """
        made = self._by_key.get(idempotency_key)
        if made is None:
            made = await super().charge(charge)
            self._by_key[idempotency_key] = made
        return made


service = Service("payments", title="Payments", timeout=10)
api = service.group(tags=["Payments"], guards=[faulty(service)])
service.resource(Books)


@api.post("/charges", status=201, idempotent=True, problems=[CardDeclined])
async def create_charge(charge: NewCharge, books: Books) -> Charge:
    """Take money; the same `Idempotency-Key` takes it once.

    Raises:
        CardDeclined: The bank says no.
    """
    return await books.charge(charge)


@api.post("/charges/{charge_id}/refund", problems=[NoSuchCharge])
async def refund_charge(charge_id: str, books: Books) -> Refund:
    """Give it back; a second time changes nothing."""
    return await books.refund(charge_id)


@api.get("/stats")
async def read_stats(books: Books) -> PaymentStats:
    """Return the books in numbers."""
    return await books.stats()
