"""What fits on the nodes of a cluster, and how that is said."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sweep.driver.delay import waits
from sweep.driver.node import Node, Placed, fits, nodes_text, slots
from sweep.driver.plan import Limits
from sweep.journal.state import StudyState
from sweep.spec import Resources

ONE, TWO = Resources(cpu=1), Resources(cpu=2)


def test_a_trial_does_not_span_nodes() -> None:
    """Two nodes with a core each have no place for a trial that needs two."""
    small = [Node("a", cpu=1), Node("b", cpu=1)]
    assert (slots(small, ONE), slots(small, TWO)) == (2, 0)
    assert not fits(small, [], TWO)
    assert slots([*small, Node("c", cpu=5)], TWO) == 2


def test_nothing_new_goes_where_a_node_is_drained() -> None:
    """What a draining node has counts for nobody."""
    assert slots([Node("a", cpu=4, draining=True), Node("b", cpu=1)], ONE) == 1
    assert not fits([Node("a", cpu=4, draining=True)], [], ONE)


def test_workers_on_lost_nodes_take_nothing() -> None:
    """A worker whose node is gone holds no place on those that are left."""
    gone = Placed("lost", ONE)
    assert fits([Node("a", cpu=1)], [gone], ONE)
    assert not fits([Node("a", cpu=1)], [Placed("a", ONE)], ONE)


def test_what_is_not_placed_yet_takes_a_place() -> None:
    """A worker that Ray has still to place is counted on the first node with room for it."""
    nodes = [Node("a", cpu=2), Node("b", cpu=1)]
    assert fits(nodes, [Placed(None, ONE)], ONE)
    assert not fits(nodes, [Placed(None, ONE), Placed(None, TWO)], ONE)


def test_all_resources_count() -> None:
    """GPUs and memory are held against each node as cores are."""
    node = Node("a", cpu=8, gpu=1, memory=1e9)
    half = Resources(cpu=1, gpu=0.5)
    assert slots([node], half) == 2
    assert not fits([node], [Placed("a", half), Placed("a", half)], half)
    assert slots([node], Resources(cpu=1, memory=400_000_000)) == 2


@given(st.lists(st.integers(1, 6), max_size=6), st.integers(1, 3))
def test_as_many_fit_one_by_one_as_in_all(cores: list[int], asked: int) -> None:
    """Placed one after another, exactly as many workers of a kind fit as `slots` says."""
    nodes = [Node(str(number), cpu=cpu) for number, cpu in enumerate(cores)]
    wanted, placed = Resources(cpu=asked), list[Placed]()
    while fits(nodes, placed, wanted):
        placed.append(Placed(None, wanted))
    assert len(placed) == slots(nodes, wanted)


def test_waits_are_said() -> None:
    """The line names who waits, what is needed and what there is; none where nothing lacks."""
    limits = Limits(total=2, concurrency=None, timeout=None, retries=0)
    what = f"the cluster has {nodes_text([Node('a', cpu=1)])}"
    said = waits(StudyState(), limits, TWO, set(), what)
    assert said == [
        "waits for resources: the next trial needs cpu=2, the cluster has 1 node with cpu=1"
    ]
    assert waits(StudyState(), limits, TWO, set(), None) == []
    assert nodes_text([]) == "no node"
