package embedded

import (
	"archive/tar"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/gzip"
)

// maxLibrary bounds what is unpacked: the library has 570 MB.
const maxLibrary = 2 << 30

// ErrIntegrity says that a package is not the one that was pinned.
var ErrIntegrity = errors.New("the package is not the pinned one")

// Install checks that the npm package in the file at path is release r, to
// the last byte, and puts its library where [Locate] looks. The library
// appears there at once and whole, after it has been loaded; on failure
// nothing does. progress, when not nil, is written the package's bytes as they
// are read, twice over. It returns the library's path and its version.
func Install(path string, r Release, progress io.Writer) (library, version string, err error) {
	if progress == nil {
		progress = io.Discard
	}
	library, err = r.CachePath()
	if err != nil {
		return "", "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", "", fmt.Errorf("install the engine: %w", err)
	}
	defer f.Close()
	sum := sha512.New()
	if _, err := io.Copy(io.MultiWriter(sum, progress), f); err != nil {
		return "", "", fmt.Errorf("install the engine: %w", err)
	}
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum.Sum(nil)); got != r.Integrity {
		return "", "", fmt.Errorf("install the engine: %w: %s %s has another checksum", ErrIntegrity, r.Package, r.Version)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", "", fmt.Errorf("install the engine: %w", err)
	}
	version, err = place(io.TeeReader(f, progress), r, library)
	if err != nil {
		return "", "", fmt.Errorf("install the engine: %w", err)
	}
	return library, version, nil
}

// place unpacks the library of a package next to its place, tries it, and
// moves it there.
func place(pack io.Reader, r Release, library string) (version string, err error) {
	dir := filepath.Dir(library)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	out, err := os.CreateTemp(dir, ".unpacking-*")
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			out.Close()
			os.Remove(out.Name())
		}
	}()
	if err := unpack(out, pack, r.Member); err != nil {
		return "", err
	}
	if err := errors.Join(out.Chmod(0o755), out.Sync(), out.Close()); err != nil {
		return "", err
	}
	if version, err = Probe(out.Name()); err != nil {
		return "", err
	}
	return version, os.Rename(out.Name(), library)
}

// unpack writes one member of a gzip'ed tar archive.
func unpack(w io.Writer, pack io.Reader, member string) error {
	z, err := gzip.NewReader(pack)
	if err != nil {
		return err
	}
	archive := tar.NewReader(z)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("there is no %s in the package", member)
		}
		if err != nil {
			return err
		}
		if h.Name != member || h.Typeflag != tar.TypeReg {
			continue
		}
		if h.Size > maxLibrary {
			return fmt.Errorf("%s has %d bytes", member, h.Size)
		}
		_, err = io.Copy(w, archive)
		return err
	}
}
