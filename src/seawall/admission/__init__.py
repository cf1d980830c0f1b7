"""How much is done at once: adaptive concurrency, shedding by priority, bulkheads."""

from seawall.admission.admission import Admission, AdmissionOptions
from seawall.admission.baseline import Baseline
from seawall.admission.gate import Gate
from seawall.admission.state import AdmissionState, GateState

__all__ = ["Admission", "AdmissionOptions", "AdmissionState", "Baseline", "Gate", "GateState"]
