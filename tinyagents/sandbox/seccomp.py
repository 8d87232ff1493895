"""A filter of system calls for processes that run code nobody trusts, and a launcher that sets it.

It is a second wall: what runs behind it is an interpreter that has none of these calls to offer, so
only a defect in that interpreter could try one. Run as a program it locks itself in and becomes
another one; then it needs the standard library alone, for it starts without any package.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

__all__ = ["PROCESS_CALLS", "WRITING_CALLS", "can_filter", "filter_program"]

# Number of each call on x86_64 and on aarch64; -1 where it has none.
PROCESS_CALLS = {
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242), "fork": (57, -1), "vfork": (58, -1),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "setns": (308, 268), "unshare": (272, 97), "kill": (62, 129), "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424), "bpf": (321, 280),
    "perf_event_open": (298, 241), "keyctl": (250, 219), "add_key": (248, 217),
    "request_key": (249, 218), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "mknod": (133, -1), "mknodat": (259, 33),
    "memfd_create": (319, 279), "userfaultfd": (323, 282), "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "kexec_load": (246, 104), "kexec_file_load": (320, 294),
    "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89),
    "quotactl": (179, 60), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "clock_adjtime": (305, 266), "adjtimex": (159, 171), "sethostname": (170, 161),
    "setdomainname": (171, 162), "personality": (135, 92), "move_mount": (429, 429),
    "open_tree": (428, 428), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "setuid": (105, 146), "setgid": (106, 144),
    "setreuid": (113, 145), "setregid": (114, 143), "setresuid": (117, 147),
    "setresgid": (119, 149), "setgroups": (116, 159), "capset": (126, 91), "shmget": (29, 194),
    "semget": (64, 190), "msgget": (68, 186), "mq_open": (240, 180), "inotify_init": (253, -1),
    "inotify_init1": (294, 26), "fanotify_init": (300, 262), "syslog": (103, 116),
    "execveat": (322, 281), "symlink": (88, -1), "symlinkat": (266, 36),
}  # fmt: skip
"""Calls that reach other processes, the network or the kernel's own settings, or that leave links
in a writable folder, which somebody else may follow."""

WRITING_CALLS = {
    "socketpair": (53, 199), "sendto": (44, 206), "sendmsg": (46, 211), "sendmmsg": (307, 269),
    "recvfrom": (45, 207), "recvmsg": (47, 212), "recvmmsg": (299, 243), "unlink": (87, -1),
    "unlinkat": (263, 35), "rename": (82, -1), "renameat": (264, 38), "renameat2": (316, 276),
    "mkdir": (83, -1), "mkdirat": (258, 34), "rmdir": (84, -1), "link": (86, -1),
    "linkat": (265, 37), "chmod": (90, -1),
    "fchmod": (91, 52), "fchmodat": (268, 53), "chown": (92, -1), "fchown": (93, 55),
    "lchown": (94, -1), "fchownat": (260, 54), "truncate": (76, 45), "creat": (85, -1),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "removexattr": (197, 14),
    "utimensat": (280, 88), "utime": (132, -1), "utimes": (235, -1), "openat2": (437, 437),
}  # fmt: skip
"""Calls that change files, and sockets that are there already."""

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_OPEN, _OPENAT, _CLONE, _CLONE3 = (2, -1), (257, 56), (56, 220), (435, 435)
# Calls that give a file its mode, and which of their arguments that is.
_MODES = (((90, -1), 1), ((91, 52), 1), ((268, 53), 2), ((85, -1), 1), (_OPEN, 2), (_OPENAT, 3))
_FCHMODAT2, _OPENAT2 = (452, 452), (437, 437)
_AS_ITS_OWNER = 0o6000  # set-user-id and set-group-id

_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_MORE, _JUMP_IF_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _REFUSE, _NO_SUCH_CALL, _KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_THREAD = 0x10000
# Writing only, reading and writing, making a file, cutting one off.
_WRITES = 0o1 | 0o2 | 0o100 | 0o1000
_OTHER_ABI = 0x40000000  # calls of x86_64's second table, each a way around the first


def can_filter() -> bool:
    """Whether this machine is one the filter is made for."""
    return sys.platform == "linux" and platform.machine() in _ARCHITECTURES


def filter_program(*, writes: bool) -> bytes:
    """The filter, as the kernel's instructions.

    Args:
        writes: Whether files may be changed.
    """
    column, architecture = _ARCHITECTURES[platform.machine()]
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_IF_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if column == 0:
        program += [(_JUMP_IF_MORE, 0, 1, _OTHER_ABI), (_RETURN, 0, 0, _REFUSE)]
    refused = PROCESS_CALLS if writes else {**PROCESS_CALLS, **WRITING_CALLS}
    for numbers in refused.values():
        program += _returned(numbers[column], _REFUSE)
    # Without this one the C library starts threads by the older call, whose flags can be seen.
    program += _returned(_CLONE3[column], _NO_SUCH_CALL)
    program += _looked_at(_CLONE[column], 0, _THREAD, if_set=_ALLOW, if_not=_REFUSE)
    if writes:
        for each in (_FCHMODAT2, _OPENAT2):  # whose arguments cannot be seen, or are new
            program += _returned(each[column], _NO_SUCH_CALL)
        for numbers, argument in _MODES:
            program += _looked_at(
                numbers[column], argument, _AS_ITS_OWNER, if_set=_REFUSE, if_not=_ALLOW
            )
    else:
        program += _looked_at(_OPENAT[column], 2, _WRITES, if_set=_REFUSE, if_not=_ALLOW)
        program += _looked_at(_OPEN[column], 1, _WRITES, if_set=_REFUSE, if_not=_ALLOW)
    program.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("HBBI", *each) for each in program)


def _returned(number: int, what: int) -> list[tuple[int, int, int, int]]:
    if number < 0:
        return []
    return [(_JUMP_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, what)]


def _looked_at(
    number: int, argument: int, bits: int, *, if_set: int, if_not: int
) -> list[tuple[int, int, int, int]]:
    """Decide a call by whether one of some bits is set in an argument."""
    if number < 0:
        return []
    return [
        (_JUMP_IF_EQUAL, 0, 4, number),
        (_LOAD, 0, 0, _FIRST_ARGUMENT + 8 * argument),
        (_JUMP_IF_SET, 0, 1, bits),
        (_RETURN, 0, 0, if_set),
        (_RETURN, 0, 0, if_not),
    ]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def lock_in(program: bytes) -> None:
    """Set a filter for this process and all it becomes; it cannot be taken off.

    Raises:
        OSError: The kernel refuses it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(program, len(program))
    told = _Program(len(program) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    no_new_privileges, set_filter, by_program = 38, 22, 2
    if libc.prctl(no_new_privileges, 1, 0, 0, 0) or libc.prctl(
        set_filter, by_program, ctypes.byref(told), 0, 0
    ):
        raise OSError(ctypes.get_errno(), "the kernel takes no filter of system calls")


def main(arguments: list[str]) -> None:
    """Lock this process in, and become the program that the arguments name."""
    import resource

    for limit, most in (("NOFILE", 64), ("FSIZE", 0), ("CORE", 0)):
        resource.setrlimit(getattr(resource, f"RLIMIT_{limit}"), (most, most))
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 2)
    lock_in(filter_program(writes=False))
    os.execv(arguments[0], arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
