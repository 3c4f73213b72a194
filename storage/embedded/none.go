//go:build !linux || (!amd64 && !arm64) || noembedded

package embedded

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
)

// Engine is the engine running on one store; there is none in this build.
type Engine struct{}

func missing() error {
	return fmt.Errorf("%w (%s/%s): use a ClickHouse server", ErrPlatform, runtime.GOOS, runtime.GOARCH)
}

// Unbuilt is the error of builds that cannot load the engine; nil: this can.
func Unbuilt() error { return missing() }

// Open says that this build has no engine.
func Open(string, Options) (*Engine, error) { return nil, missing() }

// Probe says that this build has no engine.
func Probe(string) (string, error) { return "", missing() }

// Path is the directory of the store.
func (*Engine) Path() string { return "" }

// Version is the engine's.
func (*Engine) Version() string { return "" }

// Dial says that this build has no engine.
func (*Engine) Dial(context.Context) (net.Conn, error) { return nil, missing() }

// Serve says that this build has no engine.
func (*Engine) Serve(context.Context, net.Listener, string) error { return missing() }

// Close does nothing.
func (*Engine) Close() error { return nil }

func flock(*os.File) error { return missing() }
