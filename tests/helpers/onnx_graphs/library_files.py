"""Facts of a built library: its format, segments, needed libraries and symbols, read by LIEF.

LIEF, because it reads the formats of all systems (ELF, Mach-O, PE). It does not read archives; ziglang unpacks them.
"""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import capstone
import lief

_ELF = {lief.ELF.ARCH.X86_64: "x86_64", lief.ELF.ARCH.AARCH64: "aarch64"}
_MACH_O = {lief.MachO.Header.CPU_TYPE.X86_64: "x86_64", lief.MachO.Header.CPU_TYPE.ARM64: "aarch64"}
_PE = {lief.PE.Header.MACHINE_TYPES.AMD64: "x86_64", lief.PE.Header.MACHINE_TYPES.ARM64: "aarch64"}


@dataclass(frozen=True)
class Part:
    """A segment or section of a file in memory.

    Args:
        name: The format's name or kind of it.
        address: Virtual address.
        offset: Place in the file.
        alignment: The alignment that the file states, in bytes.
        writable, executable: Its protection.
    """

    name: str
    address: int
    offset: int
    alignment: int
    writable: bool
    executable: bool


@dataclass(frozen=True)
class LibraryFile:
    """What a system's loader reads in a library.

    Args:
        kind: `ELF`, `Mach-O`, `PE`, or `objects` for a static library of Mach-O objects.
        processor: `x86_64` or `aarch64`.
        system: Mach-O's platform and oldest version; empty in other formats.
        name: The name by which programs that are linked with it find it; empty: none.
        parts: Its segments; sections of PE.
        needed: Libraries that it loads.
        undefined: Symbols that others define. PE has them as LIBRARY:NAME.
        exported: Symbols that others see.
        hidden: Symbols of an object that other objects of the same program see, and other programs do not.
        code: Instructions, with their address, of each section of code.
        text_relocations: Places in code that the loader would write to.
        has_time: Whether the file says when it was built.
    """

    kind: str
    processor: str
    system: str
    name: str
    parts: tuple[Part, ...]
    needed: frozenset[str]
    undefined: frozenset[str]
    exported: frozenset[str]
    hidden: frozenset[str]
    code: tuple[tuple[int, bytes], ...]
    text_relocations: int
    has_time: bool

    def registers(self) -> set[str]:
        """Returns the names of all registers that instructions of aarch64 use."""
        disassembler = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_LITTLE_ENDIAN)
        disassembler.skipdata = True  # tables between functions
        found: set[str] = set()
        for address, code in self.code:
            for _, _, _, operands in disassembler.disasm_lite(code, address):
                found.update(re.findall(r"\b[wx]\d+\b", operands))
        return found


def read_library(path: Path, folder: Path) -> LibraryFile:
    """Reads a library for one processor; `folder` is for the objects of a static one."""
    if path.suffix == ".a":
        return _read_archive(path, folder)
    found = lief.parse(str(path))
    if isinstance(found, lief.ELF.Binary):
        return _read_elf(found)
    if isinstance(found, lief.PE.Binary):
        return _read_pe(found)
    fat = lief.MachO.parse(str(path))  # its parts live as long as it does
    assert fat is not None
    [one] = _parts(fat)
    return _read_mach_o(one)


def processors_of(path: Path) -> list[str]:
    """Returns the processors of a universal file, in its order."""
    fat = lief.MachO.parse(str(path))
    assert fat is not None
    return [_MACH_O[one.header.cpu_type] for one in _parts(fat)]


def archive_symbols(path: Path) -> set[str]:
    """Returns the symbols in the index of an archive, such as an import library of Windows.

    The index is the first member: after its header of 60 bytes, the number of symbols, an offset for each, their names.
    """
    content = path.read_bytes()
    header = struct.Struct("8s16s32s10s2s")
    magic, name, _, size, end = header.unpack_from(content)
    assert (magic, name.rstrip(), end) == (b"!<arch>\n", b"/", b"`\n")
    index = content[header.size : header.size + int(size)]
    (count,) = struct.unpack_from(">I", index)
    return set(index[4 + 4 * count :].decode().split("\0")[:count])


def _parts(fat: lief.MachO.FatBinary) -> list[lief.MachO.Binary]:
    return [one for one in map(fat.at, range(fat.size)) if one is not None]


def _read_elf(elf: lief.ELF.Binary) -> LibraryFile:
    flags = lief.ELF.Segment.FLAGS
    loaded = [segment for segment in elf.segments if segment.type == lief.ELF.Segment.TYPE.LOAD]
    symbols = [symbol for symbol in elf.dynamic_symbols if symbol.name]
    code = [segment for segment in loaded if segment.has(flags.X)]
    relocations = [relocation.address for relocation in elf.dynamic_relocations]
    soname = elf.get(lief.ELF.DynamicEntry.TAG.SONAME)
    return LibraryFile(
        "ELF",
        _ELF[elf.header.machine_type],
        "",
        str(soname.name) if isinstance(soname, lief.ELF.DynamicSharedObject) else "",
        tuple(
            Part(
                "LOAD",
                one.virtual_address,
                one.file_offset,
                one.alignment,
                bool(one.has(flags.W)),
                bool(one.has(flags.X)),
            )
            for one in loaded
        ),
        frozenset(map(str, elf.libraries)),
        frozenset(str(symbol.name) for symbol in symbols if symbol.shndx == 0),
        frozenset(str(symbol.name) for symbol in symbols if symbol.shndx != 0),
        frozenset(),
        tuple((one.virtual_address, bytes(one.content)) for one in code),
        sum(
            one.virtual_address <= place < one.virtual_address + one.virtual_size
            for one in code
            for place in relocations
        )
        + elf.has(lief.ELF.DynamicEntry.TAG.TEXTREL),
        has_time=False,
    )


def _read_mach_o(one: lief.MachO.Binary) -> LibraryFile:
    version = one.build_version
    assert version is not None
    system = f"{version.platform.name} {'.'.join(map(str, version.minos))}"
    code = [section for section in one.sections if section.name == "__text"]
    names = [library for library in one.libraries if library.command == lief.MachO.LoadCommand.TYPE.ID_DYLIB]
    is_object = one.header.file_type == lief.MachO.Header.FILE_TYPE.OBJECT
    external = [symbol for symbol in one.symbols if symbol.is_external or symbol.raw_type & 1]
    undefined = {str(symbol.name) for symbol in external if symbol.raw_type & 0x0E == 0}
    return LibraryFile(
        "objects" if is_object else "Mach-O",
        _MACH_O[one.header.cpu_type],
        system,
        str(names[0].name) if names else "",
        tuple(
            Part(
                str(segment.name),
                segment.virtual_address,
                segment.file_offset,
                0,
                bool(segment.init_protection & 2),
                bool(segment.init_protection & 4),
            )
            for segment in one.segments
        ),
        frozenset(str(library.name) for library in one.libraries if library not in names),
        frozenset(undefined),
        frozenset(str(symbol.name) for symbol in external if not symbol.raw_type & 0x10) - undefined,
        frozenset(str(symbol.name) for symbol in external if symbol.raw_type & 0x10) - undefined,
        tuple((section.virtual_address, bytes(section.content)) for section in code),
        0 if is_object else sum(section.numberof_relocations for section in code),
        has_time=False,
    )


def _read_pe(pe: lief.PE.Binary) -> LibraryFile:
    characteristic = lief.PE.Section.CHARACTERISTICS
    imports = {str(library.name): [str(entry.name) for entry in library.entries] for library in pe.imports}
    code = [section for section in pe.sections if section.has_characteristic(characteristic.MEM_EXECUTE)]
    places = [block.virtual_address + entry.position for block in pe.relocations for entry in block.entries]
    exported = pe.get_export()
    assert exported is not None
    return LibraryFile(
        "PE",
        _PE[pe.header.machine],
        "",
        str(exported.name),
        tuple(
            Part(
                str(section.name),
                section.virtual_address,
                section.offset,
                pe.optional_header.section_alignment,
                section.has_characteristic(characteristic.MEM_WRITE),
                section.has_characteristic(characteristic.MEM_EXECUTE),
            )
            for section in pe.sections
        ),
        frozenset(imports),
        frozenset(f"{library}:{name}" for library, names in imports.items() for name in names),
        frozenset(str(entry.name) for entry in exported.entries),
        frozenset(),
        tuple((section.virtual_address, bytes(section.content)) for section in code),
        sum(one.virtual_address <= place < one.virtual_address + one.virtual_size for one in code for place in places),
        has_time=bool(pe.header.time_date_stamps or exported.timestamp),
    )


def _read_archive(path: Path, folder: Path) -> LibraryFile:
    """Reads all objects as one: a symbol that one of them defines is not undefined."""
    folder.mkdir(parents=True)
    subprocess.run([sys.executable, "-m", "ziglang", "ar", "x", str(path)], cwd=folder, check=True)
    objects = [read_library(file, folder) for file in sorted(folder.glob("*.o"))]
    [(processor, system)] = {(one.processor, one.system) for one in objects}
    defined = frozenset().union(*(one.exported for one in objects)) | frozenset().union(
        *(one.hidden for one in objects)
    )
    return LibraryFile(
        "objects",
        processor,
        system,
        "",
        (),
        frozenset(),
        frozenset().union(*(one.undefined for one in objects)) - defined,
        frozenset().union(*(one.exported for one in objects)),
        defined,
        tuple(code for one in objects for code in one.code),
        0,
        has_time=False,
    )
