import time, pytest
from tests.support.fixtures import every_version, home, versions
from tests.crash.stage import stage
from tests.crash.strikes import *
def test_x(versions, home, tmp_path):
    t0=time.time()
    with stage(versions, home, tmp_path) as s:
        print('set up', time.time()-t0)
        for st in ("blue-green","canary","rolling","recreate"):
            for f in ("good","bad","aborted"):
                t=time.time()
                try:
                    r=s.deploy(st,f)
                    print(st,f,r.state,r.exit,round(time.time()-t,1),len(points(r.rows)),[x.weights for x in r.routes])
                except AssertionError as e:
                    print(st,f,'FAILED',str(e)[:3000])
        print(s.users.check(("v2.0.0-errors-50",)))
