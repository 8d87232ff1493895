"""Code that wants out, up, or just everything. `{secret}`, `{out}`, `{port}` and `{pid}` are the
path of a file of the host, one that must not come to be, a port that listens and a process."""

REACHING = r"""open('{secret}').read()
open('{secret}', 'rb').read()
open('{out}', 'w').write('x')
open('{out}', 'a').write('x')
open('/etc/passwd').read()
open('/proc/self/environ').read()
open('/proc/1/cmdline').read()
open('/proc/{pid}/environ').read()
open('/proc/{pid}/mem', 'rb').read()
open('/dev/mem', 'rb').read()
open('/proc/self/fd/0').read()
open(0).read()
open(1, 'w').write('x')
open('../../../../../../..{secret}').read()
open('{secret}\x00').read()
from pathlib import Path; Path('{secret}').read_text()
from pathlib import Path; Path('{out}').write_text('x')
from pathlib import Path; Path('{out}').touch()
from pathlib import Path; Path('{out}').mkdir()
from pathlib import Path; Path('{secret}').unlink()
from pathlib import Path; Path('{secret}').rename('{out}')
from pathlib import Path; Path('{out}').symlink_to('{secret}')
from pathlib import Path; Path('{secret}').chmod(0)
from pathlib import Path; list(Path('/').iterdir())
from pathlib import Path; list(Path('/etc').glob('*'))
from pathlib import Path; Path.home()
from pathlib import Path; Path('~').expanduser()
from pathlib import Path; Path('.').resolve().parent
from pathlib import Path; Path('{secret}').stat()
import os; os.listdir('/')
import os; os.system('touch {out}')
import os; os.popen('id').read()
import os; os.environ['TINYAGENTS_CANARY']
import os; os.getenv('TINYAGENTS_CANARY')
import os; os.environ.copy()
import os; os.putenv('A', 'b')
import os; os.kill({pid}, 9)
import os; os.fork()
import os; os.execv('/bin/sh', ['sh'])
import os; os.remove('{secret}')
import os; os.getpid(), os.getuid(), os.getcwd()
import os; os.open('{secret}', 0)
import os; os.chdir('/etc'); open('passwd').read()
import os; os.walk('/')
import os; os.urandom(10)
import os; os.posix_spawn('/bin/touch', ['touch', '{out}'], dict())
import sys; sys.modules
import sys; sys._getframe()
import sys; sys.exit(3)
import sys; sys.stdin.read()
import sys; sys.path.append('/tmp')
import sys; sys.settrace(print)
import subprocess; subprocess.run(['touch', '{out}'])
import socket; socket.create_connection(('127.0.0.1', {port}))
import socket; socket.socket()
import urllib.request; urllib.request.urlopen('http://127.0.0.1:{port}/')
import http.client; http.client.HTTPConnection('127.0.0.1', {port}).request('GET', '/')
import asyncio; await asyncio.open_connection('127.0.0.1', {port})
import asyncio; await asyncio.create_subprocess_shell('touch {out}')
import ctypes; ctypes.CDLL(None).system(b'touch {out}')
import multiprocessing; multiprocessing.Process(target=print).start()
import threading; threading.Thread(target=print).start()
import signal; signal.raise_signal(9)
import gc; gc.get_objects()
import inspect; inspect.stack()
import importlib; importlib.import_module('os').system('touch {out}')
import builtins; builtins.open('{secret}')
import pickle; pickle.loads(b'cos\x0asystem\x0a(S"touch {out}"\x0atR.')
import marshal; marshal.loads(b'0')
import code; code.interact()
import pty; pty.spawn('/bin/sh')
import shutil; shutil.copy('{secret}', '{out}')
import tempfile; tempfile.mkstemp()
import sqlite3; sqlite3.connect('{out}')
import webbrowser; webbrowser.open('file://{secret}')
import pydantic_monty
import tinyagents
import numpy
__import__('os').system('touch {out}')
__builtins__
__builtins__['open']('{secret}')
__loader__
__file__
__spec__
globals()
locals()
vars()
dir()
breakpoint()
input()
exit()
quit()
help()
compile('1', 'x', 'eval')
eval("__import__('os').system('touch {out}')")
exec("import os; os.system('touch {out}')")
eval("open('{secret}').read()")
exec("open('{out}', 'w').write('x')")
().__class__.__bases__[0].__subclasses__()
''.__class__.__mro__[1].__subclasses__()
[].__class__.__base__.__subclasses__()
(lambda: 0).__globals__
(lambda: 0).__code__
(lambda: 0).__code__.co_consts
print.__self__
print.__self__.open('{secret}')
type('X', (object,), dict())()
type(type)
object.__subclasses__()
getattr((), '__cl' + 'ass__')
'{{0.__class__}}'.format(1)
'{{0.__class__.__mro__}}'.format(())
f'{{().__class__}}'
(1).__class__.__base__
try: 1/0\nexcept Exception as e: e.__traceback__.tb_frame.f_globals
try: 1/0\nexcept Exception as e: e.with_traceback(None).__context__
class A:\n  def __del__(self): open('{out}', 'w')\nA()
class A:\n  def __reduce__(self): return (open, ('{secret}',))\nA()
class A:\n  __slots__ = ()\nA().__dict__
class M(type): pass
class E(Exception): pass
@property\ndef f(self): return 1
def f(): yield 1\nf().gi_frame
async def f(): pass\nf().cr_frame
import random; random.SystemRandom().random()
import time; time.clock_settime(0, 0)
import math; math.__loader__
import json; json.codecs.open('{secret}')
import re; re.sys
import typing; typing.sys.modules['os']
import collections; collections._sys
import dataclasses; dataclasses.sys
import asyncio; asyncio.get_event_loop()
import asyncio; asyncio.new_event_loop().run_forever()
import datetime; datetime.sys
import functools; functools.partial(open, '{secret}')().read()
list(map(open, ['{secret}']))
sorted(['{secret}'], key=open)
[*map(eval, ["open('{secret}').read()"])]
"""

GREEDY = r"""
while True: pass
while True:\n  try:\n    while True: pass\n  except BaseException: pass
while True:\n  try: pass\n  finally: continue
try:\n  while True: pass\nfinally:\n  while True: pass
def f():\n  try: f()\n  finally: f()\nf()
def f(): f()\nf()
def f():\n  try: f()\n  except RecursionError: f()\nf()
f = lambda x: f(x)\nf(1)
def f(n): return f(n - 1) + f(n - 2) if n > 1 else 1\nf(60)
[x for x in range(10**12)]
sum(x for x in range(10**12))
list(range(10**10))
'a' * 10**11
b'a' * 10**11
[0] * 10**11
(0,) * 10**11
x = 'a'\nwhile True: x += x
x = []\nwhile True: x.append(x)
x = [1]\nwhile True: x = x + x
x = dict()\ni = 0\nwhile True:\n  x[i] = 'v' * 1000\n  i += 1
x = 2\nwhile True: x = x * x
10 ** 10 ** 10
2 ** (2 ** 40)
1 << 10**12
x = 7 ** 1000000\nstr(x)
x = 3 ** 2000000\nx % 7
int('9' * 10**6)
'%1000000000d' % 1
'{{:1000000000}}'.format(1)
f'{{1:>1000000000}}'
'x'.ljust(10**10)
'x'.zfill(10**10)
'x'.center(10**10)
','.join(['x' * 10**6] * 10**6)
'x'.replace('x', 'y' * 10**9)
('x' * 10**6).replace('x', 'y' * 10**6)
bytes(10**11)
bytearray(10**11)
import re; re.match('(a+)+$', 'a' * 40 + 'b')
import re; re.match('(a|a)*$', 'a' * 40 + 'b')
import re; re.match('(.*)*(.*)*(.*)*x', 'a' * 5000)
import re; re.sub('', 'x' * 10**6, 'a' * 10**6)
import re; re.compile('(' * 5000)
import re; re.compile('a{{1000}}{{1000}}{{1000}}')
import json; json.loads('[' * 10**6)
import json; x = []; x.append(x); json.dumps(x)
import json; json.dumps([0] * 10**9)
import itertools; list(itertools.count())
import itertools; list(itertools.permutations(range(20)))
import itertools; list(itertools.product(range(100), repeat=10))
import math; math.factorial(10**8)
import math; math.comb(10**7, 10**6)
import math; math.gcd(7 ** 500000, 3 ** 800000)
import decimal; decimal.Decimal(10) ** decimal.Decimal(10**9)
import decimal; decimal.Decimal('1e1000000').to_integral_value()
import time; time.sleep(100)
import time\nwhile True: time.sleep(0.01)
import asyncio; await asyncio.sleep(100)
import asyncio\nasync def f():\n  while True: await asyncio.sleep(0)\nawait f()
import hashlib; hashlib.pbkdf2_hmac('sha256', b'a', b'b', 10**9)
import base64; base64.b64encode(b'a' * 10**10)
import random; random.sample(range(10**12), 10**9)
import collections; collections.Counter(range(10**10))
import copy\nx = []\nfor i in range(10**6): x = [x]\ncopy.deepcopy(x)
x = []\nfor i in range(10**6): x = [x]\nrepr(x)
x = []\nfor i in range(10**5): x = [x]\ny = []\nfor i in range(10**5): y = [y]\nx == y
x = ()\nfor i in range(10**6): x = (x,)\nhash(x)
x = [1]\nfor i in range(60): x = [x, x]\nrepr(x)
x = [1]\nfor i in range(60): x = [x, x]\nx == x[:]
x = [1]\nfor i in range(60): x = [x, x]\nimport json; json.dumps(x)
sorted([0] * 10**9)
set(range(10**10))
max(range(10**12))
'a' in ('b' * 10**9)
('ab' * 10**7).split('a')
('a' * 10**7).find('b' * 10**6)
while True: print('x' * 10**5)
while True: print(end='')
print('x' * 10**9)
for i in range(10**9): print(i)
import sys\nwhile True: sys.stderr.write('x')
while True:\n  try: open('/nothing')\n  except OSError: pass
while True:\n  try: nothing\n  except NameError: pass
while True:\n  try: nothing()\n  except NameError: pass
while True:\n  try:\n    import nothing\n  except ImportError: pass
exec('while True: pass')
exec('exec(' * 1000)
eval('(' * 10**5)
eval('1+' * 10**5 + '1')
eval('[' * 100 + ']' * 100)
class A:\n  def __eq__(self, o): return self == o\nA() == A()
class A:\n  def __repr__(self): return repr(self)\nrepr(A())
class A:\n  def __iter__(self): return self\n  def __next__(self): return 1\nlist(A())
class A:\n  def __add__(self, o): return self + o\nA() + A()
class A:\n  def __enter__(s): return s\n  def __exit__(s, *a):\n    while 1: pass\nwith A(): 0
from dataclasses import dataclass\n@dataclass\nclass A:\n  x: object\na = A(1)\na.x = a\nrepr(a)
match [1] * 10**9:\n  case [*x]: x
def d(f): return d(f)\n@d\ndef g(): pass
import asyncio\nasync def f(): await asyncio.gather(f(), f())\nawait f()
raise MemoryError('memory limit exceeded')
raise TimeoutError('time limit exceeded')
raise KeyboardInterrupt
raise SystemExit(1)
raise BaseException('x' * 10**7)
raise Exception('\x1b[2J' * 1000)
assert [1] * 10**6 == 2
"""


def snippets(text: str) -> list[str]:
    """One snippet a line; a line break in one is written as such."""
    return [line.replace("\\n", "\n") for line in text.splitlines() if line]
