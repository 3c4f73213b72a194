package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"plainsight/storage/embedded"
)

type setupCmd struct {
	From  string `help:"Take the package from this file instead of fetching it." placeholder:"FILE.tgz"`
	Force bool   `help:"Fetch it even when it is there."`
}

// Help is shown below the flags.
func (*setupCmd) Help() string {
	return "Fetches ClickHouse's engine as a library (180 MB, 570 MB unpacked) through npm, checks it against the pinned " +
		"checksum, and keeps it in ~/.cache/plainsight. Only the local store needs it: reports and ClickHouse servers do not."
}

// Run installs the engine where it is missing.
func (c *setupCmd) Run(ctx context.Context, a *app) error {
	if err := embedded.Unbuilt(); err != nil {
		return err
	}
	if path, err := embedded.Locate(); err == nil && !c.Force {
		version, err := embedded.Probe(path)
		if err == nil {
			_, err = fmt.Fprintf(a.Stdout, "the engine is there: %s (version %s)\n", path, version)
			return err
		}
		a.Log.Warn("the engine that is there cannot be used", "path", path, "error", err)
	}
	release, err := embedded.Native()
	if err != nil {
		return err
	}
	file := c.From
	if file == "" {
		dir, err := os.MkdirTemp("", "plainsight-setup-")
		if err != nil {
			return fmt.Errorf("set up the engine: %w", err)
		}
		defer os.RemoveAll(dir)
		if file, err = fetch(ctx, a, release, dir); err != nil {
			return err
		}
	}
	bar := c.bar(a, file, "checking and unpacking")
	path, version, err := embedded.Install(file, release, bar)
	_ = bar.Finish()
	switch {
	case errors.Is(err, embedded.ErrIntegrity):
		return hintError{err, "nothing was installed; if it came through a mirror, that one has other bytes"}
	case errors.Is(err, os.ErrNotExist) && c.From != "":
		return usageError{err}
	case err != nil:
		return err
	}
	_, err = fmt.Fprintf(a.Stdout, "the engine is installed: %s (version %s, %s)\n", path, version, release.License)
	return err
}

// fetch has npm fetch the package into dir and returns its file. npm brings
// the user's own registry, proxy and certificates.
func fetch(ctx context.Context, a *app, r embedded.Release, dir string) (string, error) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", hintError{errors.New("npm is needed to fetch the engine and is not there"),
			"install npm, or run plainsight setup --from FILE with the package " + r.Package + " " + r.Version}
	}
	cmd := exec.CommandContext(ctx, npm, "pack", "--loglevel", "error", "--fetch-retries", "1", "--ignore-scripts", "--pack-destination", dir, r.Package+"@"+r.Version)
	cmd.Dir = dir
	var said bytes.Buffer
	cmd.Stderr = &said
	cmd.WaitDelay = 5 * time.Second

	done := spin(a, "fetching "+r.Package+" "+r.Version+" (180 MB)")
	err = cmd.Run()
	done()
	if ctx.Err() != nil {
		return "", fmt.Errorf("fetch the engine: %w", ctx.Err())
	}
	if err != nil {
		return "", hintError{fmt.Errorf("fetch the engine: npm: %s", complaint(said.String(), err)),
			"npm pack " + r.Package + "@" + r.Version + " says more"}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(files) != 1 {
		return "", fmt.Errorf("fetch the engine: npm left %d packages instead of one", len(files))
	}
	return files[0], nil
}

// complaint is the line in which npm says what is wrong, or err where it was
// silent.
func complaint(said string, err error) string {
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(strings.TrimPrefix(line, "npm error "))
		label, _, _ := strings.Cut(line, " ")
		switch label {
		case "", "code", "errno", "syscall":
			continue
		}
		return line
	}
	return err.Error()
}

// bar shows how far a file was read, on a terminal only; it is read twice.
func (c *setupCmd) bar(a *app, file, what string) *progressbar.ProgressBar {
	size := int64(-1)
	if info, err := os.Stat(file); err == nil {
		size = 2 * info.Size()
	}
	return progressbar.NewOptions64(size, progressbar.OptionSetDescription(what), progressbar.OptionSetWriter(onTerminal(a)),
		progressbar.OptionShowBytes(true), progressbar.OptionSetWidth(30), progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish())
}

// spin shows that something of unknown length goes on, until it is stopped.
func spin(a *app, what string) (stop func()) {
	bar := progressbar.NewOptions(-1, progressbar.OptionSetDescription(what), progressbar.OptionSetWriter(onTerminal(a)),
		progressbar.OptionSpinnerType(14), progressbar.OptionClearOnFinish())
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
				_ = bar.Add(1)
			}
		}
	}()
	return func() {
		close(over)
		<-ended
		_ = bar.Finish()
	}
}

func onTerminal(a *app) io.Writer {
	if _, ok := terminal(a.Stderr); ok {
		return a.Stderr
	}
	return io.Discard
}
