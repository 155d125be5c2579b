"""How each interface is measured on a model: one module per family, one registered function per card."""

from dife_scanner.audit.interfaces import (
    classification,
    embeddings,
    reranking,
    retrieval,
    selection,
)
from dife_scanner.audit.interfaces.cells import Against, Outcomes, cell
from dife_scanner.audit.interfaces.extend import Extended, extend
from dife_scanner.audit.interfaces.ranking import (
    RankingCases,
    ranked,
    selected,
)
from dife_scanner.audit.interfaces.registry import (
    cards,
    interface,
    measure_all,
    measure_one,
    measure_undiagnosed,
    named,
)
from dife_scanner.audit.interfaces.subject import (
    Gallery,
    NoPool,
    Populations,
    Subject,
)
from dife_scanner.audit.sides import Pair, Side

BUILT_IN = (classification, retrieval, reranking, selection, embeddings)

__all__ = [
    "BUILT_IN",
    "Against",
    "Extended",
    "Gallery",
    "NoPool",
    "Outcomes",
    "Pair",
    "Populations",
    "RankingCases",
    "Side",
    "Subject",
    "cards",
    "cell",
    "extend",
    "interface",
    "measure_all",
    "measure_one",
    "measure_undiagnosed",
    "named",
    "ranked",
    "selected",
]
