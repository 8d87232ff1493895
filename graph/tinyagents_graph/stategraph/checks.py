"""`find`: everything that is wrong with a declared graph, at once.

An error is what cannot work, whatever the functions of the graph do. What may well be meant is a
warning, and so is what only seems wrong as long as it is not known where a function leads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tinyagents_graph.networks import loops, ways
from tinyagents_graph.stategraph.checks_of_keys import key_findings
from tinyagents_graph.stategraph.checks_of_steps import moments, step_findings
from tinyagents_graph.stategraph.declared import Arrow, Declared, RouteSpec
from tinyagents_graph.stategraph.findings import Finding, Severity, did_you_mean
from tinyagents_graph.stategraph.inference import choice_of, labels_of
from tinyagents_graph.stategraph.routing import END, START
from tinyagents_graph.stategraph.subject import Subject, called, listed

__all__ = ["find"]


def find(declared: Declared) -> list[Finding]:
    """Everything that is wrong with a graph.

    Args:
        declared: The graph, as it was declared.

    Returns:
        The findings, always in the same order: names, ways, joins and steps, keys.
    """
    subject = Subject(declared)
    found = [*_name_findings(subject), *_way_findings(subject)]
    when = moments(subject)
    found += [*step_findings(subject, when), *key_findings(subject, when)]
    return list(dict.fromkeys(found))


# --- names ----------


def _name_findings(subject: Subject) -> Iterator[Finding]:
    declared = subject.declared
    if not any(each.source == START for each in subject.said):
        first = next(iter(declared.nodes.values()), None)
        yield Finding(
            "NO_START",
            "nothing leads from START to a node" if first else "the graph has no nodes",
            f"add g.add_edge(START, {first.name!r})" if first else "add one, g.add_node(function)",
            first.site if first else "",
        )
    for arrow in subject.said:
        yield from _source_findings(subject, arrow)
        yield from _target_findings(subject, arrow)
    yield from _duplicates(declared)
    for route in declared.routes:
        yield from _label_findings(subject, route)
    limit = declared.on_limit
    if limit is not None and limit not in declared.nodes:
        yield Finding(
            "ON_LIMIT",
            f"on_limit={limit!r}, and there is no such node{did_you_mean(limit, declared.nodes)}",
            _nodes_of(declared),
        )


def _source_findings(subject: Subject, arrow: Arrow) -> Iterator[Finding]:
    source, nodes = arrow.source, subject.declared.nodes
    if source == END:
        message = f"{_arrow(arrow)}: everything ends at END"
        yield Finding("END_AS_SOURCE", message, "begin at a node, or at START", arrow.site)
    elif source not in nodes and source != START:
        message = f"{_arrow(arrow)}: there is no node {source!r}{did_you_mean(source, nodes)}"
        yield Finding("UNKNOWN_SOURCE", message, _nodes_of(subject.declared), arrow.site, (source,))


def _target_findings(subject: Subject, arrow: Arrow) -> Iterator[Finding]:
    target, nodes = arrow.target, subject.declared.nodes
    if target == START:
        message = f"{_arrow(arrow)}: nothing leads to START"
        hint = "name the node that it should begin with again"
        yield Finding("START_AS_TARGET", message, hint, arrow.site)
    elif target not in nodes and target != END:
        message = f"{_arrow(arrow)}: there is no node {target!r}{did_you_mean(target, nodes)}"
        yield Finding("UNKNOWN_TARGET", message, _nodes_of(subject.declared), arrow.site, (target,))


def _nodes_of(declared: Declared) -> str:
    names = sorted(declared.nodes)
    more = f", … ({len(names)} in all)" if len(names) > 12 else ""
    return f"the nodes are {', '.join(names[:12])}{more}" if names else "add it with g.add_node(…)"


def _arrow(arrow: Arrow) -> str:
    """An arrow in a message."""
    source, target = called(arrow.source), called(arrow.target)
    return {
        "edge": f"the edge {source} -> {target}",
        "join": f"the join of {source} and others into {target}",
        "route": f"the router of {source} may lead to {target}",
        "goto": f"node {source} may go to {target}",
        "ask": f"Ask(then={target}) of node {source}",
        "rejected": f"rejected={target} of node {source}",
        "error": f"on_error={target} of node {source}",
    }.get(arrow.kind, f"the way {source} -> {target}")


def _duplicates(declared: Declared) -> Iterator[Finding]:
    seen: dict[tuple[tuple[str, ...], str, str], str] = {}
    edges = [(((each.source,), "", each.target), each.site) for each in declared.edges]
    joins = [
        ((tuple(sorted(each.sources)), str(each.wait_for), target), site)
        for each, target, site in declared.joins
    ]
    for key, site in (*edges, *joins):
        if key in seen:
            yield Finding(
                "DUPLICATE_EDGE",
                f"the edge {listed(key[0])} -> {called(key[-1])} was added before, in {seen[key]}",
                "remove one of them",
                site,
            )
        seen.setdefault(key, site)


def _label_findings(subject: Subject, route: RouteSpec) -> Iterator[Finding]:
    """What a router may return has to lead somewhere."""
    if route.default is not None:
        return
    known = [str(each) for each in route.targets]
    labels = labels_of(route.route)
    # A router that several graphs share may have labels that never come up in this one. That others
    # are never returned says that one was meant for the other.
    severity: Severity = "warning" if set(known) <= set(labels) else "error"
    for label in labels:
        if label not in known and label not in subject.declared.nodes and label != END:
            yield Finding(
                "UNKNOWN_LABEL",
                f"the router of {called(route.source)} may return {label!r}, which leads nowhere"
                + did_you_mean(label, known),
                f"add it to the targets, or default=; they have {', '.join(known) or 'nothing'}",
                route.site,
                (route.source,),
                severity,
            )


# --- ways ----------


def _way_findings(subject: Subject) -> Iterator[Finding]:
    for name, spec in subject.declared.nodes.items():
        is_reached = name in subject.reached
        if not is_reached:
            yield Finding(
                "UNREACHABLE",
                f"nothing leads to node {name!r}",
                f"add an edge to it, g.add_edge(…, {name!r}), or remove it"
                if subject.is_closed
                else "say where nodes may go: add_node(…, goto=[…]) or -> Command[Literal[…]]",
                spec.site,
                (name,),
                subject.severity,
            )
        if (is_reached or not subject.is_closed) and not _has_way_out(subject, name):
            yield _dead_end(subject, name)
    caught = [_no_exit(subject, group) for group in loops(subject.main)]
    told = [each for each in caught if each is not None]
    yield from told
    yield from _endless(subject, {name for each in told for name in each.nodes})


def _has_way_out(subject: Subject, name: str) -> bool:
    leads = subject.leads[name]
    is_guess = leads.is_open and not leads.is_said
    return name in subject.sources or (subject.may_end(name) and not is_guess)


def _dead_end(subject: Subject, name: str) -> Finding:
    severity: Severity = "warning" if subject.leads[name].is_open else "error"
    return Finding(
        "DEAD_END",
        f"node {name!r} leads nowhere",
        f"add g.add_edge({name!r}, END), or an edge to the next node"
        + (
            f"; if it returns a Command, say so: add_node({name!r}, …, goto=[…])"
            if severity == "warning"
            else ""
        ),
        subject.declared.nodes[name].site,
        (name,),
        severity,
    )


def _no_exit(subject: Subject, group: Sequence[str]) -> Finding | None:
    """A loop that no way leads out of; one that ends at the limit on purpose is left alone."""
    inside = set(group)
    if inside.isdisjoint(subject.reached) or subject.declared.on_limit is not None:
        return None
    if any(each not in inside for name in group for each in subject.main.succ[name]):
        return None
    choices = [choice_of(each.route) for each in subject.declared.routes if each.source in inside]
    if "many" in choices:  # it may choose nothing at all
        return None
    joins = [each for each in subject.arrows if each.kind == "join" and each.target in inside]
    # A join may wait for ever, and the loop be over with it.
    severity: Severity = "warning" if "" in choices or joins else "error"
    site = subject.declared.nodes[group[-1]].site
    way = f"the loop of {listed(group)}"
    if any(each not in inside for name in group for each in subject.all.succ[name]):
        return Finding(
            "NO_PATH_TO_END",
            f"{way} ends only when something fails: no other way leads from it to END",
            "add a router with a way out, g.add_conditional_edges(node, route, {…: END})",
            site,
            tuple(group),
            "warning",
        )
    return Finding(
        "CYCLE_NO_EXIT",
        f"{way} never ends: no way leads out of it",
        "add a router with a way out, g.add_conditional_edges(node, route, {…: END})",
        site,
        tuple(group),
        severity,
    )


def _endless(subject: Subject, told: set[str]) -> Iterator[Finding]:
    """Loops of edges that are always followed, which only the limit ends."""
    if subject.declared.on_limit is not None:
        return
    edges = [
        each
        for each in subject.arrows
        if each.kind == "edge" and each.source in subject.reached and subject.is_sure(each.source)
    ]
    pairs = [(each.source, each.target) for each in edges]
    for group in loops(ways(subject.declared.nodes, pairs)):
        if not told.isdisjoint(group):
            continue
        inside = set(group)
        back = [each for each in edges if each.source in inside and each.target in inside][-1]
        yield Finding(
            "UNCONDITIONAL_CYCLE",
            f"the loop of {listed(group)} never ends: all its edges are always followed",
            f"make {called(back.source)} -> {called(back.target)} conditional: "
            f"g.add_conditional_edges({back.source!r}, route, {{…: {back.target!r}, …: END}})",
            back.site,
            tuple(group),
        )
