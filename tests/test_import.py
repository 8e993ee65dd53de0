import hashlib
import json
import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

import bcrypt
import pytest
from argon2 import PasswordHasher
from argon2.low_level import Type
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from authserver.accounts import importing
from authserver.accounts.import_format import LONGEST_LINE
from authserver.extensions import db
from authserver.models import User
from tests.commands import printed, start
from tests.conftest import Run
from tests.each import each
from tests.factories import log_in, sign_up

PASSWORD = "moved here from elsewhere"
ROUNDS = 1000


def pbkdf2(password: str) -> str:
    digest = hashlib.pbkdf2_hmac("sha256", password.encode(), b"salt", ROUNDS)
    return f"pbkdf2_sha256${ROUNDS}$salt${b64encode(digest).decode()}"


def bcrypt_sha256(password: str) -> str:
    secret = hashlib.sha256(password.encode()).hexdigest().encode()
    return "bcrypt_sha256$" + bcrypt.hashpw(secret, bcrypt.gensalt(4)).decode()


def plain_bcrypt(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


def argon2(password: str) -> str:
    return "argon2" + PasswordHasher(time_cost=1, memory_cost=1024, parallelism=8, type=Type.ID).hash(password)


def own(password: str) -> str:
    return PasswordHasher(time_cost=1, memory_cost=1024).hash(password)


def lines(*people: object) -> str:
    return "".join(json.dumps(person) + "\n" for person in people)


def count(app: Flask) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(User)) or 0


def summary(imported: int, skipped: int, refused: int, *, dry_run: bool = False) -> dict[str, object]:
    return {"imported": imported, "skipped": skipped, "refused": refused, "dry_run": dry_run}


@pytest.mark.usefixtures("real_hashes")
@pytest.mark.parametrize("make_hash", [pbkdf2, bcrypt_sha256, plain_bcrypt, argon2, own])
def test_who_was_moved_signs_in_with_the_old_password_and_gets_an_argon2id_hash(
    app: Flask, client: FlaskClient, run: Run, make_hash: Callable[[str], str]
) -> None:
    stored = make_hash(PASSWORD)
    result = run(
        "users", "import", "-", "--format", "jsonl", stdin=lines({"email": "a@b.com", "password_hash": stored})
    )
    assert result.exit_code == 0
    assert log_in(client, "a@b.com", PASSWORD + "x").status_code == 401
    for _ in range(2):
        assert log_in(client, "a@b.com", PASSWORD).status_code == 200
        with app.app_context():
            replaced = db.session.scalar(select(User.password_hash)) or ""
        assert replaced.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert replaced != stored


ADA = {
    "email": "ada@example.com",
    "email_verified": True,
    "first_name": "Ada",
    "last_name": "Lovelace, Countess",
    "date_joined": "2015-12-10T12:00:00.5+01:00",
}


def test_every_field_of_json_lines_arrives(run: Run, client: FlaskClient, tmp_path: Path) -> None:
    (tmp_path / "people.jsonl").write_text("\ufeff" + lines(ADA, {"email": "Bob@Example.com", "disabled": True}) + "\n")
    assert run("users", "import", "people.jsonl").stdout == "2 imported, 0 here already, 0 refused.\n"
    check_ada_and_bob(run)


def test_every_field_of_csv_arrives(run: Run, client: FlaskClient, tmp_path: Path) -> None:
    (tmp_path / "people.CSV").write_bytes(
        "\ufeffdisabled,last_name,email,email_verified,first_name,date_joined,password_hash\r\n"
        '0,"Lovelace, Countess",ada@example.com,True,Ada,2015-12-10T12:00:00.5+01:00,\r\n'
        ",,Bob@Example.com,,,,\r\n".replace(",,Bob", "t,,Bob").encode()
    )
    assert run("users", "import", "people.CSV").stdout == "2 imported, 0 here already, 0 refused.\n"
    check_ada_and_bob(run)


def check_ada_and_bob(run: Run) -> None:
    (ada,) = printed(run("users", "show", "ada@example.com", "--json"))
    del ada["id"]
    joined = "2015-12-10T11:00:00.500000Z"
    assert ada == {**ADA, "date_joined": joined, "has_password": False, "disabled_at": None}
    (bob,) = printed(run("users", "show", "bob@example.com", "--json"))
    assert bob["disabled_at"] == bob["disabled_at"] is not None
    assert (bob["email_verified"], bob["first_name"]) == (False, "")


BAD_LINES: list[tuple[bytes, str]] = [
    (b"{}", "email: This field is required."),
    (b'{"email": null}', "email: This must be a string."),
    (b'{"email": "nobody"}', "email: Enter a valid e-mail address."),
    (b'{"email": "a@b.com", "email_verified": "yes"}', "email_verified: This must be true or false."),
    (b'{"email": "a@b.com", "email_verified": 1}', "email_verified: This must be true or false."),
    (b'{"email": "a@b.com", "first_name": "a\\u0000b"}', "first_name: This may not contain control characters."),
    (b'{"email": "a@b.com", "first_name": "\\ud800"}', "first_name: This"),
    (b'{"email": "a@b.com", "date_joined": 1}', "date_joined: This must be a time"),
    (b'{"email": "a@b.com", "date_joined": "0001-01-01T00:00:00+10:00"}', "date_joined: This must be a time"),
    (b'{"email": "a@b.com", "is_staff": true}', "is_staff: There is no such field."),
    (b'{"email": "a@b.com", "pbkdf2_sha256$1$secret": 1}', "a field: There is no such field."),
    (b'["a@b.com"]', "The line is not a JSON object."),
    (b'{"email": "a@b.com"', "The line is not a JSON object."),
    (b"[" * 10000, "The line is not a JSON object."),
    (b'{"email": "\xff@b.com"}', "The line is not UTF-8."),
    (b'{"email": "a@b.com"}' + b" " * LONGEST_LINE, "The line is longer"),
    (b" " * (LONGEST_LINE * 3 + 5), "The line is longer"),
]


def test_each_bad_line_is_named_with_its_reason_and_the_others_are_imported(app: Flask, run: Run) -> None:
    good = b'{"email": "good%d@example.com"}'
    data = b"\n".join(line for index, (bad, _) in enumerate(BAD_LINES) for line in (good % index, bad))
    result = run("users", "import", "-", "--format", "jsonl", "--json", stdin=data)
    *refusals, last = printed(result)
    assert result.exit_code == 1
    assert last == summary(len(BAD_LINES), 0, len(BAD_LINES))
    assert [one["line"] for one in refusals] == [2 * index + 2 for index in range(len(BAD_LINES))]
    for one, (_, reason) in zip(refusals, BAD_LINES, strict=True):
        assert one["reason"].startswith(reason)
    assert count(app) == len(BAD_LINES)


UNSUPPORTED = [
    "md5$salt$5f4dcc3b5aa765d61d8327deb882cf99",
    "pbkdf2_sha1$1000$salt$" + "A" * 43 + "=",
    "pbkdf2_sha256$99999999$salt$" + "A" * 43 + "=",
    "pbkdf2_sha256$1000$salt$short",
    "scrypt$salt$16384$8$1$AAAA",
    "$2b$31$" + "a" * 53,
    "!unusable",
    "plain text",
    "",
    PasswordHasher(time_cost=1, memory_cost=1024, type=Type.I).hash("x"),
    "$argon2id$nonsense",
    "argon2$argon2id$nonsense",
    own("x").replace("$v=19", "$v=20"),
    own("x").replace("p=4$", "p=4,data=AAAA$"),
    own("x").replace("p=4$", "p=4,keyid=AAAA$"),
    own("x").replace("m=1024", "m=4194304"),
    "argon2" + own("x").replace("t=1", "t=4294967295"),
    own("x") + "\n",
    own("x") * 3,
]


def test_a_hash_that_cannot_be_checked_is_refused_and_never_repeated(app: Flask, run: Run) -> None:
    people = [{"email": f"p{index}@example.com", "password_hash": text} for index, text in enumerate(UNSUPPORTED)]
    result = run("users", "import", "-", "--format", "jsonl", stdin=lines(*people))
    assert (result.exit_code, count(app)) == (1, 0)
    reasons = [line for line in result.stderr.splitlines() if line.startswith("line ")]
    assert len(reasons) == len(UNSUPPORTED)
    assert all(": password_hash: This " in line for line in reasons)
    assert sum("costs too much to check: at most" in line for line in reasons) == 3
    assert not any(text and text.strip() in result.output for text in UNSUPPORTED)


@each(
    "head",
    ["", "\n\n", "first_name\n", "email,email\n", "email,password\n", 'email,"first_name\n', "\xff", "x" * 20000],
)
def test_a_csv_file_without_a_proper_head_is_refused_as_a_whole(app: Flask, run: Run, head: str) -> None:
    data = (head + "a@example.com,x\n").encode("latin-1") if head.strip() else head.encode()
    result = run("users", "import", "-", "--format", "csv", stdin=data)
    assert (result.exit_code, count(app)) == (2, 0)
    assert "The first line has to name the columns" in result.stderr


def test_a_bad_line_of_csv_spoils_no_other(app: Flask, run: Run) -> None:
    rows = [
        "a@example.com,",
        'b@example.com,"x',
        "c@example.com,x,y",
        "d@example.com",
        'e@example.com,"x""y"',
        '"f"g,x',
    ]
    result = run("users", "import", "-", "--format", "csv", "--json", stdin="email,first_name\n" + "\n".join(rows))
    *refusals, last = printed(result)
    assert [one["line"] for one in refusals] == [3, 4, 5, 7]
    assert (last, count(app)) == (summary(2, 0, 4), 2)


def test_an_import_is_repeatable_and_changes_nobody_who_is_here(client: FlaskClient, run: Run, app: Flask) -> None:
    person = sign_up(client, email="ada@example.com", first_name="Augusta")
    data = lines(ADA, {"email": "bob@example.com"})
    for expected in (summary(1, 1, 0), summary(0, 2, 0)):
        result = run("users", "import", "-", "--format", "jsonl", "--json", stdin=data)
        assert (result.exit_code, printed(result)) == (0, [expected])
    assert client.get("/api/me/", headers=person.bearer).get_json() == person.user
    assert count(app) == 2


@pytest.mark.parametrize("dry_run", [False, True])
def test_of_one_address_twice_in_a_file_the_first_line_that_is_good_wins(
    run: Run, app: Flask, monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    monkeypatch.setattr(importing, "BATCH", 2)
    people: list[dict[str, object]] = [
        {"email": "ada@example.com", "password_hash": "none"},
        {"email": "ada@example.com", "first_name": "First"},
        {"email": "ADA@example.com", "first_name": "Same batch"},
    ]
    people += [{"email": f"p{index}@example.com"} for index in range(5)]
    people.append({"email": "ada@Example.com", "first_name": "Another batch"})
    options = ["--dry-run"] if dry_run else []
    for imported, skipped in ((6, 0), (6, 0) if dry_run else (0, 6)):
        result = run("users", "import", "-", "--format", "jsonl", "--json", *options, stdin=lines(*people))
        *refusals, last = printed(result)
        assert last == summary(imported, skipped, 3, dry_run=dry_run)
        assert [one["line"] for one in refusals] == [1, 3, 9]
        assert refusals[2]["reason"] == "email: Line 2 has the same address."
    assert count(app) == (0 if dry_run else 6)
    if not dry_run:
        assert printed(run("users", "show", "ada@example.com", "--json"))[0]["first_name"] == "First"


def test_a_dry_run_counts_who_is_here(run: Run, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "LOOKUP", 2)
    sign_up(client, email="ada@example.com")
    sign_up(client, email="grace@example.com")
    data = lines(*({"email": f"{name}@example.com"} for name in ("bob", "grace", "carol", "dora", "ada")))
    for _ in range(2):
        result = run("users", "import", "-", "--format", "jsonl", "--json", "--dry-run", stdin=data)
        assert (result.exit_code, printed(result)) == (0, [summary(3, 2, 0, dry_run=True)])
    assert "3 would be imported" in run("users", "import", "-", "--format", "jsonl", "--dry-run", stdin=data).stdout


@pytest.mark.slow
def test_a_killed_import_goes_on_where_it_was_when_it_is_run_again(database: str, app: Flask) -> None:
    people = [{"email": f"person{index}@example.com"} for index in range(5000)]
    arguments = ("users", "import", "-", "--format", "jsonl", "--json")
    first = start(database, *arguments)
    assert first.stdin
    first.stdin.write(lines(*people[:2500]).encode())
    first.stdin.flush()
    deadline = monotonic() + 60
    while count(app) < 2000 and monotonic() < deadline:  # the third batch waits for more lines
        sleep(0.05)
    first.kill()
    first.communicate()
    assert (first.returncode, count(app)) == (-9, 2000)
    output, _ = start(database, *arguments).communicate(lines(*people).encode())
    assert json.loads(output) == summary(3000, 2000, 0)
    assert count(app) == 5000


# By the kernel's count for this program alone: getrusage's begins with what the process had that started it.
MEASURED = """
from authserver.cli import main
try:
    main()
finally:
    print(*(line for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_file(database: str, tmp_path: Path) -> None:
    def peak(people: int) -> float:
        """In megabytes."""
        path = tmp_path / f"{people}.jsonl"
        everybody = ({"email": f"{people}.{one}@example.com", "last_name": "x" * 150} for one in range(people))
        path.write_text(lines(*everybody))
        output, errors = start(database, "users", "import", str(path), code=MEASURED).communicate()
        done, held = output.strip().splitlines()
        assert done.startswith(f"{people} imported".encode()), errors
        return int(held.split()[1]) / 1024

    few, many = peak(2000), peak(40000)
    assert many < few + 12
