import pytest

from tests.support.pallas import on_cpu
from tests.support.shift3d_reference import PROGRAMS


@pytest.fixture(params=PROGRAMS)
def variant(request):
    """(implementation, max_shift), able to run here."""
    implementation, max_shift = PROGRAMS[request.param]
    with on_cpu(implementation):
        yield implementation, max_shift
