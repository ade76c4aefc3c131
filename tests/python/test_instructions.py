"""The compiled module runs on any x86-64 processor: newer instructions stay in their regions.

Outside the regions of AVX2 and AVX-512 such an instruction would end a program on an older
processor, though nobody asked for it there: one in an inline function of the standard library that
was compiled inside a region, for instance. Needs objdump (binutils).
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess

import pytest

from ranvier import _C

OBJDUMP = shutil.which("objdump")
HEAD = re.compile(r"^[0-9a-f]+ <(.+)>:$")
# Every instruction of AVX and AVX-512 begins with v; the two others are of virtual machines.
# Of AVX512_BF16, which not every processor with AVX-512 has: a region within it.
PAIRS = "isa_avx512_bf16"
NEWER = re.compile(r"^\s+[0-9a-f]+:\s+(v(?!err|erw|mcall|mmcall)[a-z0-9]+)\s")


@pytest.mark.skipif(OBJDUMP is None, reason="objdump is not installed")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="of x86-64 alone")
def test_newer_instructions_stand_in_their_regions_only() -> None:
    command = [str(OBJDUMP), "--disassemble", "--no-show-raw-insn", "--section=.text", _C.__file__]
    function, inside, outside = "", 0, {}
    pairs: set[bool] = set()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if head := HEAD.match(line):
                function = head.group(1)
            elif newer := NEWER.match(line):
                if newer.group(1) == "vdpbf16ps":
                    pairs.add(PAIRS in function)
                if "isa_avx" in function:
                    inside += 1
                else:
                    outside.setdefault(function, newer.group(1))
    if inside == 0 and outside:
        pytest.skip("the module has no names of functions: it was stripped")
    assert not outside, outside
    assert pairs == {True}
    assert inside > 1000
