package embedded

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// pack makes an npm package of one member and the release that pins it.
func pack(t *testing.T, member string, content []byte) (string, Release) {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	archive := tar.NewWriter(z)
	if err := archive.WriteHeader(&tar.Header{Name: member, Mode: 0o644, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	_, err := archive.Write(content)
	if err := errors.Join(err, archive.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "package.tgz")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512(b.Bytes())
	return path, Release{Package: "engine", Version: "1", Member: "package/libchdb.so", Integrity: "sha512-" + base64.StdEncoding.EncodeToString(sum[:])}
}

func TestNothingIsInstalledThatIsNotTheEngine(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	good, release := pack(t, "package/libchdb.so", []byte("no shared library"))
	changed := filepath.Join(t.TempDir(), "changed.tgz")
	b, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(changed, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Install(changed, release, nil); !errors.Is(err, ErrIntegrity) {
		t.Errorf("a changed bit: %v", err)
	}
	if _, _, err := Install(good, release, nil); err == nil {
		t.Error("a library that cannot be loaded was installed")
	}
	other, release := pack(t, "package/other", []byte("x"))
	if _, _, err := Install(other, release, nil); err == nil {
		t.Error("a package without the library was installed")
	}
	if _, _, err := Install(filepath.Join(cache, "none"), release, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no package: %v", err)
	}
	left, _ := filepath.Glob(filepath.Join(cache, "plainsight", "*", "*"))
	hidden, _ := filepath.Glob(filepath.Join(cache, "plainsight", "*", ".*"))
	if len(left)+len(hidden) > 0 {
		t.Errorf("left behind: %v %v", left, hidden)
	}
}

func TestReleasesArePinned(t *testing.T) {
	for _, r := range Releases {
		sum, err := base64.StdEncoding.DecodeString(r.Integrity[len("sha512-"):])
		if err != nil || len(sum) != sha512.Size || r.Version == "" || r.Member == "" || r.License == "" {
			t.Errorf("%+v", r)
		}
	}
}
