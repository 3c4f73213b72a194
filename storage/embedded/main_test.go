package embedded_test

import (
	"testing"

	"plainsight/storage/embedded/embeddedtest"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }
