// Command plainsight is a passive API traffic analyzer: it reads captures of
// HTTP traffic and tells which services and endpoints there are, which data
// they carry, and where that data is exposed. One file a subcommand; this one
// is the wiring they share: flags, logging, errors and exit codes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"plainsight/analyze"
)

// version is set by the build: -ldflags "-X main.version=…".
var version = "dev"

// Exit codes.
const (
	exitDone     = 0
	exitFindings = 1 // findings at or above --fail-on
	exitUsage    = 2 // wrong usage or input
	exitFailed   = 3 // could not do it: I/O, store, kernel
)

// app is what every subcommand gets: where to write, and the log.
type app struct {
	Args   []string // of the command line, for what is read again
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Log    *slog.Logger
}

// usageError is a fault of the one who called: wrong flags or input that is
// not what it should be. It ends with exit code 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// hintError adds to an error what a person can do about it.
type hintError struct {
	error
	hint string
}

func (e hintError) Error() string { return e.error.Error() + " (" + e.hint + ")" }
func (e hintError) Unwrap() error { return e.error }

// errFindings ends a run whose work is done with exit code 1.
var errFindings = errors.New("findings at or above --fail-on")

type commands struct {
	Read    readCmd    `cmd:"" help:"Read capture files and report what is in them."`
	Watch   watchCmd   `cmd:"" help:"Capture what passes through this host, live."`
	Query   queryCmd   `cmd:"" help:"Ask a store in SQL, or by the name of a query."`
	Openapi openapiCmd `cmd:"" help:"Write an OpenAPI 3.1 document for each service in captures."`
	Drift   driftCmd   `cmd:"" help:"Compare captures with OpenAPI documents: what is undocumented, outdated or unused."`
	Scan    scanCmd    `cmd:"" help:"Find sensitive data in a body or in JSON lines on standard input."`
	Rules   rulesCmd   `cmd:"" help:"List the rules: what each looks for and what to do."`
	Schema  schemaCmd  `cmd:"" help:"Print or apply the schema of the store."`
	Doctor  doctorCmd  `cmd:"" help:"Say what this host lets us see, and what is missing."`
	Setup   setupCmd   `cmd:"" help:"Fetch the engine of the local store."`

	LogLevel  string           `enum:"debug,info,warn,error" default:"info" help:"Least level of log lines: ${enum}." placeholder:"LEVEL"`
	LogFormat string           `enum:"text,json" default:"text" help:"Format of log lines: ${enum}." placeholder:"FORMAT"`
	Version   kong.VersionFlag `help:"Print the version."`
}

const description = `plainsight reads API traffic and tells what is exposed in it.

  plainsight read capture.pcapng                a report on the terminal
  plainsight read -o report.html capture.pcapng and one for a browser
  plainsight read --keep capture.pcapng         keep the result, then:
  plainsight query findings                     ask it in SQL`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt ends the process as usual
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// newParser makes the parser of a command line, and what it fills. An error is one
// of the configuration that the command line names.
func newParser(args []string, more ...kong.Option) (*kong.Kong, *commands, error) {
	resolver, err := configOf(args)
	if err != nil {
		return nil, nil, err
	}
	cmds := new(commands)
	options := append(more,
		kong.Name("plainsight"),
		kong.Description(description),
		kong.Vars{"version": "plainsight " + version},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
	)
	if resolver != nil {
		options = append(options, kong.Resolvers(resolver))
	}
	parser, err := kong.New(cmds, options...)
	if err != nil {
		panic(err) // the command table is wrong: a bug that the first test finds
	}
	return parser, cmds, nil
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	exited, code := false, 0
	parser, cmds, err := newParser(args, kong.Writers(stdout, stderr), kong.Exit(func(c int) { exited, code = true, c }), kong.BindTo(ctx, (*context.Context)(nil)))
	if err != nil {
		return finish(stderr, err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if exited { // --help, --version
		return code
	}
	if err != nil {
		fmt.Fprintf(stderr, "plainsight: %s (see plainsight --help)\n", clean(err))
		return exitUsage
	}
	a := &app{Args: args, Stdin: stdin, Stdout: stdout, Stderr: stderr, Log: newLog(stderr, cmds.LogLevel, cmds.LogFormat)}
	return finish(stderr, parsed.Run(a))
}

// finish prints an error in one line and gives its exit code.
func finish(stderr io.Writer, err error) int {
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errFindings):
		return exitFindings
	case errors.Is(err, syscall.EPIPE):
		return exitDone // the reader of our output has seen enough
	}
	fmt.Fprintf(stderr, "plainsight: %s\n", clean(err))
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

// clean makes an error safe for a terminal: it may quote a file name.
func clean(err error) string { return analyze.CleanLong(err.Error()) }

func newLog(w io.Writer, level, format string) *slog.Logger {
	var l slog.Level
	_ = l.UnmarshalText([]byte(level)) // kong has checked it
	opts := &slog.HandlerOptions{Level: l, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Value.Kind() == slog.KindString {
			a.Value = slog.StringValue(analyze.Clean([]byte(a.Value.String())))
		}
		return a
	}}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// terminal reports whether w is one, and its width (80 where it is not).
func terminal(w io.Writer) (int, bool) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 80, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 20 {
		width = 80
	}
	return width, true
}
