"""The data sets that piq-bench recognises; of those that read equally many names, the first is taken."""

from piq_bench.read.layouts.by_person import BY_PERSON, MARKET_BY_PERSON
from piq_bench.read.layouts.celeb_reid import CELEB_REID
from piq_bench.read.layouts.cuhk03_np import CUHK03_NP
from piq_bench.read.layouts.deepchange import DEEPCHANGE
from piq_bench.read.layouts.dukemtmc import DUKEMTMC, OCCLUDED_DUKE
from piq_bench.read.layouts.layout import Layout
from piq_bench.read.layouts.ltcc import LTCC
from piq_bench.read.layouts.market1501 import MARKET1501, MARKET_STYLE
from piq_bench.read.layouts.mars import MARS
from piq_bench.read.layouts.msmt17 import MSMT17_V1, MSMT17_V2
from piq_bench.read.layouts.prcc import PRCC, PRCC_SAME
from piq_bench.read.layouts.sysu_mm01 import SYSU_MM01
from piq_bench.read.layouts.vc_clothes import VC_CLOTHES
from piq_bench.read.layouts.veri776 import VERI776

LAYOUTS: tuple[Layout, ...] = (
    MARKET1501,
    OCCLUDED_DUKE,
    DUKEMTMC,
    CUHK03_NP,
    MARKET_STYLE,
    MSMT17_V1,
    MSMT17_V2,
    VERI776,
    LTCC,
    PRCC,
    PRCC_SAME,
    VC_CLOTHES,
    CELEB_REID,
    DEEPCHANGE,
    SYSU_MM01,
    MARS,
    MARKET_BY_PERSON,
    BY_PERSON,
)
TITLES = {layout.name: layout.title for layout in LAYOUTS}
