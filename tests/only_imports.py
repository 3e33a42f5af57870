"""An import-linter contract that says what a module may import, where the others say what it may not."""

import sys
from typing import cast

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output
from importlinter.domain.imports import ModuleExpression

Link = tuple[str, str, str]


def _within(module: str, packages: set[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


class OnlyImports(Contract):
    """`modules`, less `except_modules`, import directly only themselves, `allowed` and the standard library.

    A forbidden list goes stale with the next dependency; this one refuses it until somebody decides. A name
    in `modules` that matches nothing yet is no error, so a contract can be written before the room is furnished.
    """

    type_name = "only"

    # An instance has the parsed values under the names of its class's fields.
    modules = cast("set[ModuleExpression]", fields.SetField(fields.ModuleExpressionField()))
    except_modules = cast("set[str]", fields.SetField(fields.StringField(), default=set()))
    allowed = cast("set[str]", fields.SetField(fields.StringField()))

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        broken: list[Link] = []
        for root in self._roots(graph):
            own = {root, *self.allowed, *sys.stdlib_module_names}
            for module in sorted({root, *graph.find_descendants(root)}):
                if _within(module, self.except_modules):
                    continue
                for imported in sorted(graph.find_modules_directly_imported_by(module)):
                    if not _within(imported, own):
                        details = graph.get_import_details(importer=module, imported=imported)
                        lines = ", ".join(str(detail["line_number"]) for detail in details)
                        broken.append((module, imported, lines))
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for module, imported, lines in check.metadata["broken"]:
            output.print_error(f"- {module} imports {imported} (l.{lines})", bold=False)
        output.print_error(f"  It may import only: {', '.join(sorted(self.allowed))}.", bold=False)

    def _roots(self, graph: ImportGraph) -> list[str]:
        found: set[str] = set()
        for expression in self.modules:
            if expression.has_wildcard_expression():
                found |= graph.find_matching_modules(str(expression))
            elif str(expression) in graph.modules:
                found.add(str(expression))
        return sorted(found)
