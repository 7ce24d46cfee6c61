"""Makes wheels of Python packages that are installed here, and of what they require.

    installed-wheels.py FOLDER NAME...

Nothing is downloaded. A package that comes ready as a wheel in /usr/share/python-wheels is taken from there, any other is
packed anew from the modules and the metadata that are installed. Prints what is missing and ends with 1 if anything is.
"""

import base64
import glob
import hashlib
import importlib.metadata as metadata
import os
import re
import shutil
import sys
import zipfile

from packaging.requirements import Requirement

READY = "/usr/share/python-wheels"

# Debian leaves these out of the metadata it installs. Which of them a version needs shows in what is installed with it.
LEFT_OUT = {"build": ["packaging", "pep517", "pyproject-hooks"]}


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(names):
    """The named packages and those they require on this Python, as distributions by name; None for a missing one."""
    found = {}
    wanted = list(names)
    while wanted:
        name = normal(wanted.pop())
        if name in found:
            continue
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            found[name] = None
            continue
        for text in requirements(found[name]):
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                wanted.append(requirement.name)
    return found


def requirements(distribution):
    noted = list(distribution.requires or [])
    return noted + [name for name in LEFT_OUT.get(normal(distribution.metadata["Name"]), []) if is_installed(name)]


def is_installed(name):
    try:
        return metadata.distribution(name) is not None
    except metadata.PackageNotFoundError:
        return False


def ready_wheel(name):
    files = sorted(glob.glob(f"{READY}/{name.replace('-', '_')}-*.whl"))
    return files[-1] if files else None


def modules(distribution):
    """Top-level modules and packages: as recorded, as listed, or of the package's own name."""
    recorded = {str(file).split("/")[0] for file in distribution.files or [] if file.suffix == ".py" and ".." not in file.parts}
    listed = (distribution.read_text("top_level.txt") or "").split()
    return sorted(recorded or listed or [distribution.metadata["Name"].replace("-", "_")])


def contents(distribution):
    """Pairs of a path in the wheel and a file."""
    base = str(distribution.locate_file(""))
    for module in modules(distribution):
        path = os.path.join(base, module)
        if os.path.isfile(path):
            yield module, path
        elif os.path.isfile(f"{path}.py"):
            yield f"{module}.py", f"{path}.py"
        for folder, folders, files in os.walk(path):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            for file in sorted(files):
                absolute = os.path.join(folder, file)
                yield os.path.relpath(absolute, base), absolute


def headers(distribution):
    """Core metadata without a description."""
    lines = ["Metadata-Version: 2.1", f"Name: {distribution.metadata['Name']}", f"Version: {distribution.version}"]
    if distribution.metadata["Requires-Python"]:
        lines.append(f"Requires-Python: {distribution.metadata['Requires-Python']}")
    lines += [f"Requires-Dist: {text}" for text in requirements(distribution)]
    return "\n".join(lines) + "\n\n"


def pack(distribution, folder):
    name = re.sub(r"[-_.]+", "_", distribution.metadata["Name"])
    info = f"{name}-{distribution.version}.dist-info"
    record = []
    with zipfile.ZipFile(os.path.join(folder, f"{name}-{distribution.version}-py3-none-any.whl"), "w", zipfile.ZIP_DEFLATED, compresslevel=1) as wheel:
        def add(path, data):
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append(f"{path},sha256={digest},{len(data)}\n")
            wheel.writestr(path, data)

        for path, file in contents(distribution):
            with open(file, "rb") as source:
                add(path, source.read())
        add(f"{info}/METADATA", headers(distribution).encode())
        add(f"{info}/WHEEL", b"Wheel-Version: 1.0\nGenerator: installed-wheels\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        entry_points = distribution.read_text("entry_points.txt")
        if entry_points:
            add(f"{info}/entry_points.txt", entry_points.encode())
        wheel.writestr(f"{info}/RECORD", "".join(record) + f"{info}/RECORD,,\n")


def main(folder, names):
    found = closure(names)
    missing = sorted(name for name, distribution in found.items() if distribution is None and ready_wheel(name) is None)
    if missing:
        print(f"not installed here: {', '.join(missing)}", file=sys.stderr)
        return 1
    for name, distribution in found.items():
        ready = ready_wheel(name)
        if ready is not None:
            shutil.copy(ready, folder)
        else:
            pack(distribution, folder)
    return 0


sys.exit(main(sys.argv[1], sys.argv[2:]))
