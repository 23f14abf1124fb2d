"""Which programming or markup language a file is in, from its name.

What belongs here: the table of names. What does not: reading source code (`code`).
"""

from __future__ import annotations

_EXTENSIONS = {
    "bash": "sh bash zsh ksh",
    "bat": "bat cmd",
    "c": "c h",
    "clojure": "clj cljs cljc",
    "cpp": "cpp cc cxx hpp hh hxx ino",
    "csharp": "cs",
    "css": "css scss sass less",
    "dart": "dart",
    "diff": "diff patch",
    "dockerfile": "dockerfile",
    "elixir": "ex exs",
    "erlang": "erl hrl",
    "fortran": "f f90 f95 for",
    "go": "go",
    "graphql": "graphql gql",
    "groovy": "groovy gradle",
    "haskell": "hs",
    "ini": "ini cfg conf properties env editorconfig",
    "java": "java",
    "javascript": "js mjs cjs jsx",
    "json": "json5 jsonc",
    "julia": "jl",
    "kotlin": "kt kts",
    "latex": "tex sty bib",
    "lua": "lua",
    "makefile": "mk mak",
    "nix": "nix",
    "objective-c": "mm",
    "ocaml": "ml mli",
    "perl": "pl pm",
    "php": "php",
    "powershell": "ps1 psm1",
    "protobuf": "proto",
    "python": "py pyi pyw",
    "r": "r",
    "ruby": "rb rake",
    "rust": "rs",
    "scala": "scala sc",
    "solidity": "sol",
    "sql": "sql",
    "svelte": "svelte",
    "swift": "swift",
    "terraform": "tf tfvars hcl",
    "toml": "toml",
    "typescript": "ts tsx",
    "vue": "vue",
    "yaml": "yaml yml",
    "zig": "zig",
}
_BY_EXTENSION = {
    extension: language for language, extensions in _EXTENSIONS.items() for extension in extensions.split()
}
_BY_NAME = {"makefile": "makefile", "gnumakefile": "makefile", "rakefile": "ruby", "gemfile": "ruby"}


def language_of(name: str) -> str | None:
    """The language of a file of this name or path, or None where the name does not tell."""
    base = name.replace("\\", "/").rpartition("/")[2].lower()
    stem, dot, extension = base.rpartition(".")
    if dot and stem:
        return _BY_EXTENSION.get(extension)
    return _BY_NAME.get(base) or _BY_EXTENSION.get(extension if base in _LONE_NAMES else "")


_LONE_NAMES = frozenset({"dockerfile", ".env", ".editorconfig"})
