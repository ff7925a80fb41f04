import os
import random
import time

from tests.crash.stage import stage
from tests.crash.strikes import in_runs, points


def test_x(versions, home, tmp_path):
    t0 = time.time()
    dice = random.Random(int(os.environ.get("SEED", "1")))
    with stage(versions, home, tmp_path) as s:
        print("set up", time.time() - t0)
        for st in os.environ.get("ST", "blue-green canary rolling recreate").split():
            for f in os.environ.get("F", "good bad aborted").split():
                t = time.time()
                ref = s.deploy(st, f)
                names = points(ref.rows)
                print(st, f, ref.state, ref.exit, round(time.time() - t, 1), len(names), flush=True)
                carried = [n for n in names if names.index(n) > names.index("decided RUNNING")]
                runs = list(in_runs(carried, 3, dice))
                for strikes in dice.sample(runs, int(os.environ.get("N", "2"))):
                    t = time.time()
                    try:
                        r = s.deploy(st, f, strikes)
                        print(
                            "  ", *map(str, strikes), r.state, r.exit, round(time.time() - t, 1), sep="; ", flush=True
                        )
                    except AssertionError as e:
                        print("FAILED", str(e)[:6000], flush=True)
        try:
            print(str(s.users.check(("v2.0.0-errors-50",)))[:300])
        except AssertionError as e:
            print("USERS", str(e)[:3000])
