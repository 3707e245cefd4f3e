#!/usr/bin/env python3
"""Write rootfs/hello: a static x86-64 Linux program that prints /etc/greeting.

An image needs something to run, and this example is to be built where there
is no compiler. So the program is written here, byte by byte: an ELF header,
one program header, and the machine code of four system calls.
"""

import struct
from pathlib import Path

TARGET = Path(__file__).resolve().parent / "rootfs" / "hello"
GREETING = b"/etc/greeting\0"
ADDRESS = 0x400000  # where the file is mapped
HEADERS = 64 + 56  # the ELF header and one program header
BUFFER = 4096  # the longest greeting

OPEN, READ, WRITE, EXIT = 2, 0, 1, 60  # numbers of Linux system calls on x86-64
SYSCALL = b"\x0f\x05"


def number(value: int) -> bytes:
    """An immediate or a displacement: 32 bits, little-endian."""
    return struct.pack("<i", value)


def code() -> bytes:
    """The program: open, read, write, exit."""
    before = b"\xb8" + number(OPEN)  # mov eax, OPEN
    after = b"".join(
        (
            b"\x31\xf6",  # xor esi, esi         read-only
            SYSCALL,
            b"\x89\xc7",  # mov edi, eax         the file
            b"\x48\x81\xec" + number(BUFFER),  # sub rsp, BUFFER
            b"\x48\x89\xe6",  # mov rsi, rsp         the buffer
            b"\xba" + number(BUFFER),  # mov edx, BUFFER
            b"\xb8" + number(READ),  # mov eax, READ
            SYSCALL,
            b"\x89\xc2",  # mov edx, eax         as many bytes as were read
            b"\xbf" + number(1),  # mov edi, 1           standard output
            b"\xb8" + number(WRITE),  # mov eax, WRITE
            SYSCALL,
            b"\x31\xff",  # xor edi, edi         success
            b"\xb8" + number(EXIT),  # mov eax, EXIT
            SYSCALL,
        )
    )
    # lea rdi, [rip + displacement]: the path lies right behind the code.
    return before + b"\x48\x8d\x3d" + number(len(after)) + after


def program() -> bytes:
    """The whole file."""
    body = code() + GREETING
    size = HEADERS + len(body)
    identity = b"\x7fELF" + bytes((2, 1, 1, 0)) + bytes(8)  # 64 bits, little-endian, System V
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        *(identity, 2, 62, 1),  # an executable, for x86-64, version 1
        *(ADDRESS + HEADERS, 64, 0, 0),  # entry, program headers, no sections, no flags
        *(64, 56, 1, 0, 0, 0),  # sizes and counts of the headers
    )
    readable_executable = 4 | 1
    segment = struct.pack(
        "<IIQQQQQQ", 1, readable_executable, 0, ADDRESS, ADDRESS, size, size, 0x1000
    )
    return header + segment + body


def main() -> None:
    """Write the program and make it executable."""
    TARGET.write_bytes(program())
    TARGET.chmod(0o755)


if __name__ == "__main__":
    main()
