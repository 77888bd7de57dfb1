"""Replacing a file as a whole: a temporary file beside it, which takes its place, and what killed processes left.

    .fastopt-<file>-<machine>-<random>.tmp

A temporary file is locked as long as it is in use. `file` and `machine` are digests of the name of the file to be
replaced and of the running system: a save removes the temporary files of its own file that no living process has
locked. Where locks say nothing, on systems without them and about processes on other machines that share the folder, it
removes those that have not been written to for AGE seconds.
"""

import contextlib
import errno
import functools
import hashlib
import os
import stat

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be removed by others
    fcntl = None

AGE = 3600.0


@contextlib.contextmanager
def replacement(path):
    """A new file that takes the place of `path` when all of it is on disk, or is removed."""
    target = os.path.realpath(path)
    mode = _mode(target)
    folder, name = os.path.split(target)
    prefix = f".fastopt-{_digest(name)}-"
    with contextlib.ExitStack() as at_end:
        temporary, file = _locked_file(os.path.join(folder, prefix + _machine()), at_end)
        _remove_left_overs(folder, prefix, file)
        if mode is not None:
            os.chmod(temporary, mode)
        yield file
        file.flush()
        os.fsync(file.fileno())
        file.close()  # before it is renamed, which Windows demands; the lock stays
        os.replace(temporary, target)
    _sync_folder(folder)


# --- temporary files -------------------------------------------------------------------------------------


def _locked_file(prefix, at_end):
    """A new file and its name; at the end it is unlocked, closed and, if it still has the name, removed."""
    while True:
        name = f"{prefix}-{os.urandom(16).hex()}.tmp"
        at_end.callback(_remove_if_there, name)
        file = at_end.enter_context(open(name, "x+b"))
        lock = os.dup(file.fileno())
        at_end.callback(os.close, lock)
        # Before it was locked, another save may have taken it for a left-over file.
        if _lock(lock) is not False and _is_there(name, file):
            return name, file


def _lock(descriptor):
    """Lock a file until it is closed: True; False if another holder has it locked, None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # the file system has none
        return None
    return True


def _is_there(name, file):
    try:
        return os.path.samestat(os.stat(name), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _remove_if_there(name):
    with contextlib.suppress(OSError):
        os.remove(name)


def _remove_left_overs(folder, prefix, own):
    """Remove what killed saves of the same file have left, as far as this process may."""
    now = os.fstat(own.fileno()).st_mtime  # by the clock that the file system goes by
    with contextlib.suppress(OSError):
        with os.scandir(folder) as entries:
            names = [each.name for each in entries if each.name.startswith(prefix) and each.name.endswith(".tmp")]
        for name in names:
            _remove_left_over(os.path.join(folder, name), name.startswith(prefix + _machine()), now)


def _remove_left_over(path, is_local, now):
    if os.path.islink(path) or not os.path.isfile(path):
        return
    with contextlib.suppress(OSError), open(path, "r+b") as file:
        locked, is_old = _lock(file.fileno()), now - os.fstat(file.fileno()).st_mtime >= AGE
        if locked is False or not (is_old or (locked and is_local)):
            return
        if not locked:
            file.close()  # Windows does not remove a file that is open
        os.remove(path)  # while it is locked: whoever has just made it will see that it is gone


def _digest(text):
    return hashlib.blake2b(os.fsencode(text), digest_size=8).hexdigest()


@functools.cache
def _machine():
    """A digest of what the processes have in common that see each other's locks: a running kernel."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return _digest(file.read())
    except OSError:
        import platform  # elsewhere: an import for this alone would take time in each process

        return _digest(platform.node())


# --- the file to be replaced -----------------------------------------------------------------------------


def _mode(target):
    """Permissions of the file to be replaced, None if there is none; raises for a folder or a device."""
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), target)
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "Not a regular file", target)
    return stat.S_IMODE(mode)


def _sync_folder(folder):
    """Put the new name on disk, where platform and file system can synchronize folders."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)
