"""Answers about templates."""

from __future__ import annotations

from pydantic import BaseModel

from millrace.contracts.template import ListedTemplate, Template


class TemplateReply(BaseModel):
    """Answer to the commands on a template: its newest version."""

    name: str
    version: int


class TemplateAnswer(BaseModel):
    """Answer to `template.get`."""

    template: Template


class TemplateList(BaseModel):
    """Answer to `template.list`."""

    templates: list[ListedTemplate]
