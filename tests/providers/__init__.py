import pytest

pytest.register_assert_rewrite("tests.providers.signing_in")  # so that its failures show what was compared
