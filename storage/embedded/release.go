package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// Release is a build of the engine that plainsight was tested with. It is an
// npm package of which only the shared library is used.
type Release struct {
	Platform  string // GOOS/GOARCH
	Package   string
	Version   string
	Integrity string // of the package, as npm states it: "sha512-" and base64
	Member    string // the library inside the package
	License   string
}

// Releases are the builds that plainsight setup fetches, one a platform. A
// build without a checksum that was verified here is not on the list.
var Releases = []Release{{
	Platform:  "linux/amd64",
	Package:   "@chdb/lib-linux-x64-gnu",
	Version:   "26.7.3-stable.1",
	Integrity: "sha512-XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw==",
	Member:    "package/libchdb.so",
	License:   "Apache-2.0",
}}

// Native returns the release for this platform.
func Native() (Release, error) {
	platform := runtime.GOOS + "/" + runtime.GOARCH
	for _, r := range Releases {
		if r.Platform == platform {
			return r, nil
		}
	}
	return Release{}, fmt.Errorf("%w: none is pinned for %s; name one in CHDB_LIB_PATH", ErrMissing, platform)
}

const libraryName = "libchdb.so"

// CachePath is where plainsight setup puts the library of r:
// $XDG_CACHE_HOME/plainsight/chdb-VERSION/libchdb.so, else below ~/.cache.
func (r Release) CachePath() (string, error) {
	dir := os.Getenv("XDG_CACHE_HOME")
	if !filepath.IsAbs(dir) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("no place for the engine: %w", err)
		}
		dir = filepath.Join(home, ".cache")
	}
	return filepath.Join(dir, "plainsight", "chdb-"+r.Version, libraryName), nil
}

// Locate finds the library: CHDB_LIB_PATH (a file or its directory) alone
// where it is set, else the cache that setup fills, the directory of this
// program, and the usual places of libraries.
func Locate() (string, error) {
	if named := os.Getenv("CHDB_LIB_PATH"); named != "" {
		for _, path := range []string{named, filepath.Join(named, libraryName)} {
			if regular(path) {
				return path, nil
			}
		}
		return "", fmt.Errorf("%w: CHDB_LIB_PATH names %s, where there is no %s", ErrMissing, named, libraryName)
	}
	var places []string
	release, unpinned := Native()
	if unpinned == nil {
		if path, err := release.CachePath(); err == nil {
			places = append(places, path)
		}
	}
	if self, err := os.Executable(); err == nil {
		places = append(places, filepath.Join(filepath.Dir(self), libraryName))
	}
	places = append(places, "/usr/local/lib/"+libraryName, "/usr/lib/"+libraryName, "/opt/plainsight/lib/"+libraryName)
	for _, path := range places {
		if regular(path) {
			return path, nil
		}
	}
	return "", errors.Join(unpinned, ErrMissing)
}

func regular(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
