"""Every scenario there is, one line each; they run in the order of their numbers."""

from __future__ import annotations

from typing import Final

from tests.chaos.scenario import Scenario
from tests.chaos.scenarios.t01_copy import T01
from tests.chaos.scenarios.t02_brokers import T02
from tests.chaos.scenarios.t03_zombie import T03
from tests.chaos.scenarios.t04_scaling import T04
from tests.chaos.scenarios.t05_network import T05
from tests.chaos.scenarios.t06_open_transaction import T06
from tests.chaos.scenarios.t07_poison import T07
from tests.chaos.scenarios.t08_dependency import T08
from tests.chaos.scenarios.t09_slow_gpu import T09
from tests.chaos.scenarios.t10_cdc import T10
from tests.chaos.scenarios.t11_replay import T11
from tests.chaos.scenarios.t12_delayed_end import T12
from tests.chaos.scenarios.t13_hang import T13
from tests.chaos.scenarios.t17_full_disk import T17
from tests.chaos.scenarios.t18_rolling import T18
from tests.chaos.scenarios.t19_silence import T19
from tests.chaos.scenarios.t20_soak import T20

COMES: Final = "comes with its part"

_ALL: Final = (
    T01,
    T20,
    T18,
    T06,
    T04,
    T03,
    T19,
    T07,
    T08,
    T09,
    T13,
    T10,
    T11,
    T12,
    T17,
    T05,
    T02,
    Scenario("T14", f"cost ledger: {COMES}"),
    Scenario("T15", f"window store: {COMES}"),
    Scenario("T16", f"live views: {COMES}"),
)

SCENARIOS: Final[tuple[Scenario, ...]] = tuple(sorted(_ALL, key=lambda scenario: int(scenario.name[1:])))
