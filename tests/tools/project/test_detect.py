"""What a repository says of itself, each guess with the file it came from."""

import json
from pathlib import Path

import pytest

from soc_deploy_mcp.core.config import Config
from soc_deploy_mcp.tools.project.detect import detect, find_suite, programs
from soc_deploy_mcp.tools.project.template import render

UVICORN = (".venv/bin/uvicorn", "main:app", "--host", "127.0.0.1", "--port", "{port}")
FLASK = (".venv/bin/python", "-m", "flask", "--app", "app:app", "run")
FASTAPI = "from fastapi import FastAPI\n\napp = FastAPI()\n\n@app.get('/healthz')\ndef health(): return 'ok'\n"
PIP = (".venv/bin/python", "-m", "pip", "install", "--quiet")
VENV = ("python3", "-m", "venv", ".venv")


def project(tmp_path, files):
    """A repository with these files; what is no text is written as JSON."""
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if isinstance(text, str) else json.dumps(text))
    return tmp_path


def serve(root, tools=()):
    """(argv, PORT?, file) of the guess."""
    found = detect(root, tools).serve
    return found and (found.value.argv, found.value.reads_port_env, found.source)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"main.py": FASTAPI, "requirements.txt": "fastapi\nuvicorn\n"}, (UVICORN, False, "main.py")),
        (
            {
                "src/shop/api.py": "import x\napplication: Starlette = Starlette()\n",
                "requirements.txt": "uvicorn",
            },
            (
                (
                    *(".venv/bin/uvicorn", "shop.api:application", "--host", "127.0.0.1"),
                    "--port",
                    "{port}",
                    "--app-dir",
                    "src",
                ),
                False,
                "src/shop/api.py",
            ),
        ),
        (
            {"app.py": "app = FastAPI()\n", "requirements.txt": "fastapi\nhypercorn"},
            ((".venv/bin/hypercorn", "--bind", "127.0.0.1:{port}", "app:app"), False, "app.py"),
        ),
        (
            {"app.py": "app = Flask(__name__)\n", "requirements.txt": "Flask==3\ngunicorn>=20"},
            ((".venv/bin/gunicorn", "--bind", "127.0.0.1:{port}", "app:app"), False, "app.py"),
        ),
        (
            {"shop/__init__.py": "app = flask.Flask(__name__)\n", "requirements.txt": "flask\nwaitress"},
            ((".venv/bin/waitress-serve", "--listen=127.0.0.1:{port}", "shop:app"), False, "shop/__init__.py"),
        ),
        (
            {"app.py": "app = Flask(__name__)\n", "requirements.txt": "flask"},
            (
                (*FLASK, "--host", "127.0.0.1", "--port", "{port}"),
                False,
                "app.py",
            ),
        ),
        (
            {
                "manage.py": "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')",
                "requirements.txt": "django\ngunicorn",
            },
            ((".venv/bin/gunicorn", "--bind", "127.0.0.1:{port}", "mysite.wsgi:application"), False, "manage.py"),
        ),
        (
            {"manage.py": "setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')", "requirements.txt": "django"},
            ((".venv/bin/python", "manage.py", "runserver", "--noreload", "127.0.0.1:{port}"), False, "manage.py"),
        ),
        (
            {"server.py": "parser.add_argument('--port', type=int)\n"},
            (("python3", "server.py", "--port", "{port}"), False, "server.py"),
        ),
        (
            {"server.py": "parser.add_argument('-p', '--port', type=int)\n"},
            (("python3", "server.py", "--port", "{port}"), False, "server.py"),
        ),
        ({"main.py": "port = int(os.environ['PORT'])\n"}, (("python3", "main.py"), True, "main.py")),
        ({"app.py": 'port = os.getenv("PORT", "80")\n'}, (("python3", "app.py"), True, "app.py")),
        ({"server.py": "serve(int(sys.argv[1]))\n"}, (("python3", "server.py", "{port}"), False, "server.py")),
        (
            {"package.json": {"scripts": {"start": "node server.js --fast"}}},
            (("node", "server.js", "--fast"), True, "package.json"),
        ),
        (
            {"package.json": {"scripts": {"start": "NODE_ENV=production node x.js"}}, "yarn.lock": ""},
            (("yarn", "run", "start"), True, "package.json"),
        ),
        (
            {"package.json": {"scripts": {"start": "next start"}}},
            (
                ("node_modules/.bin/next", *["start", "--hostname", "127.0.0.1", "--port", "{port}"]),
                False,
                "package.json",
            ),
        ),
        (
            {"package.json": {"name": "x"}, "index.js": "listen(process.env.PORT || 3000)"},
            (("node", "index.js"), True, "index.js"),
        ),
        (
            {"go.mod": "module example.com/shop", "main.go": 'package main\nvar p = os.Getenv("PORT")\n'},
            (("bin/app",), True, "main.go"),
        ),
        (
            {
                "go.mod": "module example.com/shop",
                "cmd/shop/main.go": 'package main\nvar a = flag.String("addr", ":80", "where")\n',
            },
            (("bin/app", "-addr", "127.0.0.1:{port}"), False, "cmd/shop/main.go"),
        ),
        (
            {
                "Procfile": "a: b\nweb: gunicorn app:app --bind 0.0.0.0:$PORT\n",
                "requirements.txt": "gunicorn",
            },
            ((".venv/bin/gunicorn", "app:app", "--bind", "127.0.0.1:{port}"), False, "Procfile"),
        ),
        ({"Procfile": "web: node server.js"}, (("node", "server.js"), True, "Procfile")),
        (
            {"Procfile": "web: migrate && ./serve --port ${PORT:-80}"},
            (("sh", "-c", "migrate && ./serve --port ${PORT:-80}"), True, "Procfile"),
        ),
        (
            {"Dockerfile": 'EXPOSE 8000\nENTRYPOINT ["./serve"]\nCMD ["--host", "0.0.0.0", \\\n "--port", "8000"]\n'},
            (("./serve", "--host", "127.0.0.1", "--port", "{port}"), False, "Dockerfile"),
        ),
        (
            {"Dockerfile": "EXPOSE 80\nCMD ./serve -p 80 -m 8080"},
            (("./serve", "-p", "{port}", "-m", "8080"), False, "Dockerfile"),
        ),
        ({"Dockerfile": "FROM x\nCMD ./serve -v"}, (("./serve", "-v"), True, "Dockerfile")),
        ({"Dockerfile": "FROM x\nCMD [broken"}, None),
        ({"README.md": "nothing"}, None),
    ],
)
def test_how_it_is_started(tmp_path, files, expected):
    assert serve(project(tmp_path, files)) == expected


def test_the_procfile_speaks_before_the_source_and_the_source_before_the_image(tmp_path):
    files = {"server.py": "add_argument('--port')", "Dockerfile": "CMD ./image"}
    assert serve(project(tmp_path, files))[2] == "server.py"
    assert serve(project(tmp_path, {"Procfile": "web: ./proc"}))[2] == "Procfile"


@pytest.mark.parametrize(
    ("files", "tools", "expected"),
    [
        ({"server.py": ""}, (), ()),
        ({"requirements.txt": "flask"}, (), (VENV, (*PIP, "-r", "requirements.txt"))),
        (
            {"requirements.txt": "flask"},
            ("uv",),
            (("uv", "venv", ".venv"), ("uv", "pip", "install", "--python", ".venv", "-r", "requirements.txt")),
        ),
        ({"pyproject.toml": '[project]\nname = "x"\ndependencies = ["flask"]'}, (), (VENV, (*PIP, "."))),
        ({"pyproject.toml": '[project]\nname = "x"\ndependencies = []'}, (), ()),
        (
            {"pyproject.toml": '[project]\ndependencies = ["flask"]', "uv.lock": ""},
            ("uv",),
            (("uv", "sync", "--frozen"),),
        ),
        (
            {"pyproject.toml": '[project]\ndependencies = ["flask"]', "uv.lock": ""},
            (),
            (VENV, (*PIP, ".")),
        ),
        (
            {"package.json": {"dependencies": {"x": "1"}, "scripts": {"build": "tsc"}}, "package-lock.json": "{}"},
            (),
            (("npm", "ci"), ("npm", "run", "build")),
        ),
        (
            {"package.json": {"dependencies": {"x": "1"}}, "pnpm-lock.yaml": ""},
            (),
            (("pnpm", "install", "--frozen-lockfile"),),
        ),
        ({"package.json": {"name": "x"}}, (), ()),
        (
            {"go.mod": "module x", "cmd/a/main.go": "package main\n"},
            (),
            (("go", "build", "-o", "bin/app", "./cmd/a"),),
        ),
    ],
)
def test_what_a_release_needs_before_it_starts(tmp_path, files, tools, expected):
    assert detect(project(tmp_path, files), tools).prepare == expected


@pytest.mark.parametrize(
    ("files", "path", "source"),
    [
        ({"server.py": "if path == '/healthz': ok()"}, "/healthz", "server.py"),
        ({"server.py": "if path == '/status' or path == '/health/': ok()"}, "/health", "server.py"),
        ({"a.js": "app.get(`/ping`, x)", "lib/b.ts": "r.get('/readyz')"}, "/readyz", "lib/b.ts"),
        ({"main.go": 'http.HandleFunc("GET /livez", ok)'}, "/livez", "main.go"),
        ({"Dockerfile": "HEALTHCHECK CMD curl -f http://localhost:80/up || exit 1"}, "/up", "Dockerfile"),
        ({"tests/test_x.py": "get('/healthz')", "server.py": "x = '/health-insurance'"}, "/", ""),
        ({}, "/", ""),
    ],
)
def test_where_it_is_asked_for_health(tmp_path, files, path, source):
    found = detect(project(tmp_path, files), ()).health
    assert (found.value, found.source) == (path, source)


@pytest.mark.parametrize(
    ("files", "name", "source"),
    [
        ({"pyproject.toml": '[project]\nname = "Tea.Shop"'}, "tea-shop", "pyproject.toml"),
        ({"package.json": {"name": "@acme/tea-shop"}}, "tea-shop", "package.json"),
        ({"go.mod": "module github.com/acme/tea/v2\n"}, "tea", "go.mod"),
        ({"pyproject.toml": '[tool.poetry]\nname = "status"'}, "status-app", "pyproject.toml"),
        ({"package.json": {"name": "2048"}}, "app-2048", "package.json"),
        ({"pyproject.toml": "not toml at all ["}, "somewhere", ""),
        ({"package.json": "[]"}, "somewhere", ""),
    ],
)
def test_what_it_is_called(tmp_path, files, name, source):
    found = detect(project(tmp_path / "Somewhere", files), ()).service
    assert (found.value, found.source) == (name, source)


PYTEST = (".venv/bin/python", "-m", "pytest", "-q")


@pytest.mark.parametrize(
    ("files", "tools", "argv", "source"),
    [
        ({"package.json": {"scripts": {"test": "node --test"}}}, (), ("npm", "run", "test"), "package.json"),
        (
            {
                "package.json": {"scripts": {"test": 'echo "no test specified"'}},
                "Makefile": "test:\n",
            },
            (),
            ("make", "test"),
            "Makefile",
        ),
        ({"go.mod": "module x"}, (), ("go", "test", "-v", "./..."), "go.mod"),
        ({"pyproject.toml": "[tool.pytest.ini_options]\nx = 1"}, (), PYTEST, "pyproject.toml"),
        ({"pyproject.toml": "[tool.pytest.ini_options]\nx = 1"}, ("pytest",), ("pytest", "-q"), "pyproject.toml"),
        ({"setup.cfg": "[tool:pytest]\n", "requirements.txt": "x"}, ("pytest",), PYTEST, "setup.cfg"),
        ({"tests/conftest.py": ""}, (), PYTEST, "tests/conftest.py"),
        ({"requirements-dev.txt": "black\npytest>=8"}, (), PYTEST, "requirements-dev.txt"),
        ({"pyproject.toml": '[dependency-groups]\ndev = ["pytest"]'}, (), PYTEST, "pyproject.toml"),
        (
            {"tests/test_a.py": "", "tests/__init__.py": ""},
            (),
            ("python3", "-m", "unittest", "discover", "-s", "tests", "-t", "."),
            "tests/",
        ),
        ({"test/test_a.py": ""}, (), ("python3", "-m", "unittest", "discover", "-s", "test"), "test/"),
        ({"Cargo.toml": "[package]"}, (), ("cargo", "test"), "Cargo.toml"),
        ({"Makefile": "test := 1\nall:\n\ntest: all\n\techo"}, (), ("make", "test"), "Makefile"),
    ],
)
def test_how_it_is_tested(tmp_path, files, tools, argv, source):
    found = find_suite(project(tmp_path, files), tools)
    assert (found.argv, found.source) == (argv, source)


@pytest.mark.parametrize(
    "files", [{}, {"Makefile": "tests:\n\ntest := 1\n"}, {"tests/data.py": ""}, {"package.json": {"scripts": {}}}]
)
def test_what_has_no_tests_has_none(tmp_path, files):
    assert find_suite(project(tmp_path, files), ()) is None


@pytest.mark.parametrize(
    ("files", "prepare"),
    [
        ({"conftest.py": ""}, (VENV, (*PIP, "pytest"))),
        (
            {"conftest.py": "", "requirements.txt": "flask", "requirements-test.txt": "pytest"},
            (VENV, (*PIP, "-r", "requirements.txt"), (*PIP, "-r", "requirements-test.txt")),
        ),
        (
            {
                "conftest.py": "",
                "pyproject.toml": '[project]\ndependencies = ["x"]\n[project.optional-dependencies]\ntest = ["y"]',
            },
            (VENV, (*PIP, "."), (*PIP, ".[test]")),
        ),
        (
            {"pyproject.toml": '[project]\ndependencies = ["x"]\n[dependency-groups]\ndev = ["pytest>=8", "mock"]'},
            (VENV, (*PIP, "."), (*PIP, "pytest>=8", "mock")),
        ),
        ({"requirements.txt": "pytest"}, (VENV, (*PIP, "-r", "requirements.txt"))),
        ({"tests/test_a.py": ""}, ()),
    ],
)
def test_what_the_tests_need(tmp_path, files, prepare):
    assert find_suite(project(tmp_path, files), ()).prepare == prepare


def test_only_programs_of_this_machine_are_used(tmp_path):
    (tmp_path / "uv").write_text("#!/bin/sh\n")
    (tmp_path / "uv").chmod(0o755)
    assert programs({"PATH": str(tmp_path)}) == {"uv"}
    assert programs({}) == frozenset()


def test_the_example_shop():
    root = Path(__file__).parents[3] / "examples" / "shop"
    found = detect(root, ())
    assert found.service.value == "shop"
    assert found.serve.value.argv == ("python3", "server.py", "--port", "{port}")
    assert (found.health.value, found.health.source) == ("/healthz", "server.py")
    assert found.suite.argv[:3] == ("python3", "-m", "unittest")


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"main.py": FASTAPI, "requirements.txt": "fastapi\nuvicorn\n"},
        {"package.json": {"name": "ünicode", "scripts": {"start": "node x.js", "test": "jest"}}},
        {"Procfile": "web: ./serve {weird} 'a b' \"it's\" # no"},
        {"Procfile": "web: ./serve $PORT \u2028 \u0085 end"},
        {"Dockerfile": 'CMD ["./serve", "\\u0000"]'},
        {"pyproject.toml": '[project]\nname = "x: # {y}"'},
        {
            "main.py": "app = FastAPI()\n",
            "requirements.txt": "uvicorn",
            "Dockerfile": "HEALTHCHECK CMD curl http://x/a/b",
        },
    ],
)
def test_the_written_file_is_valid_whatever_the_repository_holds(tmp_path, files):
    found = detect(project(tmp_path, files), ())
    config = Config.read(render(found))
    assert config.services == (found.service.value,)
    spec = config.settings(found.service.value, "prod").spec
    assert spec.instances == 3
    assert spec.health.path == found.health.value
    assert spec.prepare == found.prepare


def test_the_written_file_says_where_each_guess_came_from(tmp_path):
    text = render(detect(project(tmp_path, {"main.py": FASTAPI, "requirements.txt": "fastapi\nuvicorn\npytest"}), ()))
    assert "guessed from main.py: app = FastAPI(…)" in text
    assert 'path: "/healthz"}  # guessed from main.py' in text
    assert "from requirements.txt" in text
    assert "uv" not in text.replace("uvicorn", "")
    with_uv = render(detect(tmp_path, ("uv",)))
    assert '["uv", "venv", ".venv"]' in with_uv


def test_without_a_guess_the_file_says_what_to_write(tmp_path):
    assert "Nothing in the repository says how the service is started" in render(detect(tmp_path, ()))


def test_a_huge_repository_is_looked_at_in_part(tmp_path):
    for n in range(450):
        (tmp_path / f"m{n:03}.py").write_text("x = 1\n")
    (tmp_path / "z").mkdir()
    (tmp_path / "z" / "deep.py").write_text("app = FastAPI()\n")
    (tmp_path / "big.py").write_text("#" * 300_000 + "\napp = FastAPI()\n")
    assert detect(tmp_path, ()).serve is None
