"""Reads the golden entries with nothing but the standard library, as log-format/README.md describes them."""
import hashlib
import json
import struct
import sys

VIAS = ["token", "basic", "session", "system"]


def value(data, at):
    """One msgpack value at an offset, and the offset behind it."""
    tag = data[at]
    at += 1
    if tag <= 0x7F:
        return tag, at
    if tag >= 0xE0:
        return tag - 0x100, at
    if tag <= 0x8F:
        return mapping(data, at, tag & 0x0F)
    if tag <= 0x9F:
        return array(data, at, tag & 0x0F)
    if tag <= 0xBF:
        return text(data, at, tag & 0x1F)
    if tag in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[tag], at
    if tag == 0xCB:
        number = struct.unpack_from(">d", data, at)[0]
        return (int(number) if number.is_integer() else number), at + 8
    scalars = {0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i"}
    if tag in scalars:
        return struct.unpack_from(scalars[tag], data, at)[0], at + struct.calcsize(scalars[tag])
    sized = {
        0xC4: (">B", binary), 0xC5: (">H", binary), 0xC6: (">I", binary),
        0xD9: (">B", text), 0xDA: (">H", text), 0xDB: (">I", text),
        0xDC: (">H", array), 0xDD: (">I", array), 0xDE: (">H", mapping), 0xDF: (">I", mapping),
    }
    if tag not in sized:
        raise ValueError(f"tag {tag:#x} is not used in the log")
    width, read = sized[tag]
    return read(data, at + struct.calcsize(width), struct.unpack_from(width, data, at)[0])


def binary(data, at, length):
    return data[at:at + length], at + length


def text(data, at, length):
    return data[at:at + length].decode("utf-8"), at + length


def array(data, at, length):
    items = []
    for _ in range(length):
        item, at = value(data, at)
        items.append(item)
    return items, at


def mapping(data, at, length):
    items = {}
    for _ in range(length):
        key, at = value(data, at)
        items[key], at = value(data, at)
    return items, at


def read_entry(data):
    if data[0] != 1:
        raise ValueError(f"version {data[0]} is not known")
    fields, end = value(data, 1)
    if end != len(data) or len(fields) != 9:
        raise ValueError("not an entry")
    names = ["serial", "time", "parent", "epoch", "actor", "via", "request", "mutation", "changes"]
    entry = dict(zip(names, fields))
    entry["via"] = VIAS[entry["via"]]
    entry["changes"] = [dict(zip(["path", "value"], change)) for change in entry["changes"]]
    return entry


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        vectors = json.load(file)
    digest = bytes(32)
    for vector in vectors:
        data = bytes.fromhex(vector["hex"])
        entry = read_entry(data)
        assert entry["parent"] == digest, vector["name"]
        digest = hashlib.sha256(digest + data).digest()
        assert digest.hex() == vector["digest"], vector["name"]
        entry["parent"] = entry["parent"].hex()
        assert entry == vector["entry"], (vector["name"], entry, vector["entry"])
    print(f"{len(vectors)} entries read")


main()
