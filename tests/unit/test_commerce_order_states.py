"""The table of an order's transitions."""

from commerce.orders import OPEN, REFUNDABLE, TRANSITIONS, UNPAID, State


def reachable(start: State) -> set[State]:
    found, todo = {start}, [start]
    while todo:
        for state in TRANSITIONS[todo.pop()] - found:
            found.add(state)
            todo.append(state)
    return found


def test_every_state_is_in_the_table_and_can_be_reached() -> None:
    """None is forgotten, none is dead."""
    assert set(State) == set(TRANSITIONS) == reachable(State.CREATED)


def test_every_open_order_can_end() -> None:
    """From each open state a final one can be reached, and no final one is open."""
    final = {s for s, to in TRANSITIONS.items() if not to}
    assert {State.CANCELLED, State.REFUNDED} == final
    assert all(reachable(s) & final for s in OPEN)
    assert not OPEN & (final | {State.FITTED})


def test_nothing_ships_unpaid_and_nothing_returns_to_unpaid() -> None:
    """Goods leave only through paid and released; a paid order never becomes unpaid."""
    assert {State.RELEASED} == {s for s, to in TRANSITIONS.items() if State.SHIPPED in to}
    assert {State.PAID} == {s for s, to in TRANSITIONS.items() if State.RELEASED in to}
    assert not reachable(State.PAID) & UNPAID


def test_only_what_was_captured_is_refunded() -> None:
    """Before the release there is nothing to give back."""
    assert {State.RELEASED, State.SHIPPED, State.DELIVERED, State.FITTED} == REFUNDABLE
