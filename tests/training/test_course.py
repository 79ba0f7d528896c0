"""Course: each epoch is one of the schedule; in any other time its end is reached too."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgecmp.training.course import Course
from edgecmp.training.schedule import Schedule


@given(epochs=st.integers(1, 300))
def test_each_epoch_is_one_of_the_schedule(epochs: int) -> None:
    """Bit for bit, since learning rates depend on it."""
    course = Course.resumed(Schedule(epochs=epochs), ())
    for epoch in range(epochs):
        assert (course.position, course.stride, course.left) == (epoch, 1.0, epochs - epoch)
        assert course.at(0.25) == epoch + 0.25
        course = course.after_epoch()
    assert (course.position, course.left) == (epochs, 0)


@given(
    epochs=st.integers(1, 40),
    times=st.lists(st.floats(-10, 500), min_size=80, max_size=80),
    seconds=st.lists(st.floats(0, 30), min_size=80, max_size=80),
)
def test_in_any_time_the_schedule_is_passed_through_once(
    epochs: int, times: list[float], seconds: list[float]
) -> None:
    schedule = Schedule(epochs=epochs)
    course, made = Course.resumed(schedule, ()), 0
    while course.left:
        before = course.position
        course = course.after_epoch()
        made += 1
        assert course.position > before
        if course.left:
            expected = seconds[: course.most_left]
            course = course.within(times[made - 1], expected)
            assert 1 <= course.left <= course.most_left
            if course.left > 1:
                assert sum(expected[: course.left]) <= times[made - 1] + 1e-9
        assert Course.resumed(schedule, [{"epoch": made} | course.facts]) == course
    assert course.position == epochs
    assert made <= 2 * epochs
