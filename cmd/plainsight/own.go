package main

import (
	"errors"
	"fmt"
	"os"

	"plainsight/analyze/sensitive"
)

// maxRulesFile is how long a file of rules may be.
const maxRulesFile = 1 << 20

// readRules reads the user's own rules; without a name there are none.
func readRules(name string) (*sensitive.Rules, error) {
	if name == "" {
		return nil, nil
	}
	text, err := readSmall(name, maxRulesFile)
	if err != nil {
		return nil, err
	}
	r, err := sensitive.ParseRules(text)
	var wrong *sensitive.RuleError
	if errors.As(err, &wrong) {
		return nil, usagef("%s:%d: %s", name, wrong.Line, wrong.Reason)
	}
	return r, err
}

// readSmall reads a file that a person wrote.
func readSmall(name string, limit int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, usageError{err}
	}
	if info.IsDir() || info.Size() > limit {
		return nil, usagef("%s: want a file of at most %d bytes", name, limit)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read %w", err)
	}
	return text, nil
}
