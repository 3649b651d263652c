"""Groups of commands."""

import click

_HELP = ("-h", "--help")


class Group(click.Group):
    """A group that names the command which was probably meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments begin with; raises UsageError where there is none."""
        if args[0].startswith("-") or self.get_command(ctx, args[0]) is not None:
            return super().resolve_command(ctx, args)
        from difflib import get_close_matches

        close = get_close_matches(args[0], self.list_commands(ctx), n=1)
        meant = f' Did you mean "{close[0]}"?' if close else ""
        raise click.UsageError(f'there is no command "{args[0]}".{meant}', ctx)


class ListingGroup(Group):
    """A group that lists when no command is given: ``relay deliveries --json`` is ``relay deliveries ls --json``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take options before any command for those of ``ls``."""
        lists = not args or (args[0].startswith("-") and args[0] not in _HELP)
        return super().parse_args(ctx, ["ls", *args] if lists else args)
