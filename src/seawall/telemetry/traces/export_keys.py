"""What spans and the sampler tell each other; apart from both, since the sampler needs the SDK."""

DECIDED = "seawall-sampled"
"""The key under which the context of a span that is to be recorded says so."""
