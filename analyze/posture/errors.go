package posture

import "bytes"

const maxErrorBody = 64 << 10

// frames are the forms of a stack frame: before, something in the middle of the
// same line, and optionally what ends it. They also match inside a JSON string,
// where lines end with \n written out.
var frames = [...]struct{ lang, start, middle string }{
	{"Java", "at ", ".java:"},
	{"Java", "at ", ".kt:"},
	{"Python", `File "`, `, line `},
	{"Python", `File \"`, `, line `},
	{"JavaScript", "at ", ".js:"},
	{"JavaScript", "at ", ".ts:"},
	{"JavaScript", "at ", ".mjs:"},
	{".NET", "at ", ".cs:line "},
	{"Go", "/", ".go:"},
	{"Ruby", "/", ".rb:"},
	{"PHP", "#", ".php("},
	{"PHP", "in /", ".php on line "},
	{"PHP", "in /", ".php:"},
	{"Rust", "at ", ".rs:"},
}

// stackTrace names the language of which an error body shows two frames or
// more, "" where it does not.
func stackTrace(body []byte) string {
	b := prefix(body, maxErrorBody)
	var count [len(frames)]uint8
	for len(b) > 0 {
		line, rest := cutLine(b)
		b = rest
		if len(line) < 8 {
			continue
		}
		for i := range frames {
			f := &frames[i]
			at := bytes.Index(line, []byte(f.start))
			if at < 0 {
				continue
			}
			m := bytes.Index(line[at:], []byte(f.middle))
			if m < 0 || m > 400 {
				continue
			}
			if after := line[at+m+len(f.middle):]; len(after) == 0 || after[0] < '0' || after[0] > '9' {
				continue
			}
			if count[i]++; count[i] >= 2 {
				return f.lang
			}
		}
	}
	return ""
}

// cutLine cuts the first line off: at a line feed, at one written as \n in a
// JSON string, or at <br>.
func cutLine(b []byte) (line, rest []byte) {
	for i, c := range b {
		switch c {
		case '\n':
			return b[:i], b[i+1:]
		case '\\':
			if i+1 < len(b) && b[i+1] == 'n' {
				return b[:i], b[i+2:]
			}
		case '<':
			if bytes.HasPrefix(b[i:], []byte("<br")) {
				return b[:i], b[i+3:]
			}
		case '"':
			// Frames as items of a JSON array.
			if i > 0 && bytes.HasPrefix(b[i:], []byte(`","`)) {
				return b[:i], b[i+3:]
			}
		}
	}
	return b, nil
}

var sqlErrors = []struct{ engine, text string }{
	{"MySQL", "You have an error in your SQL syntax"}, {"MySQL", "Warning: mysql"}, {"MySQL", "check the manual that corresponds to your MySQL server"}, {"MySQL", "check the manual that corresponds to your MariaDB server"}, {"MySQL", "ER_PARSE_ERROR"}, {"MySQL", "com.mysql.jdbc"}, {"MySQL", "ER_BAD_FIELD_ERROR"},
	{"PostgreSQL", "PSQLException"}, {"PostgreSQL", "pg_query()"}, {"PostgreSQL", "ERROR: syntax error at or near"}, {"PostgreSQL", "syntax error at or near \\\""}, {"PostgreSQL", "pq: "}, {"PostgreSQL", "psycopg2.errors."}, {"PostgreSQL", "unterminated quoted string at or near"},
	{"SQLite", "sqlite3.OperationalError"}, {"SQLite", "SQLITE_ERROR"}, {"SQLite", "SQLite3::SQLException"}, {"SQLite", "unrecognized token: "},
	{"SQL Server", "Unclosed quotation mark after the character string"}, {"SQL Server", "System.Data.SqlClient.SqlException"}, {"SQL Server", "Microsoft OLE DB Provider for SQL Server"}, {"SQL Server", "[SQL Server]"},
	{"Oracle", "ORA-00933"}, {"Oracle", "ORA-01756"}, {"Oracle", "ORA-00936"}, {"Oracle", "ORA-00921"}, {"Oracle", "quoted string not properly terminated"},
	{"SQL", "SQLSTATE["}, {"SQL", "SequelizeDatabaseError"}, {"SQL", "sqlalchemy.exc."}, {"SQL", "org.hibernate.exception."}, {"MongoDB", "MongoServerError"}, {"MongoDB", "MongoError: "},
}

// sqlError names the database whose error text an error body holds.
func sqlError(body []byte) string {
	b := prefix(body, maxErrorBody)
	for i := range sqlErrors {
		if bytes.Contains(b, []byte(sqlErrors[i].text)) {
			return sqlErrors[i].engine
		}
	}
	return ""
}

var (
	sourceRoots   = []string{"/home/", "/usr/src/", "/var/www/", "/app/", "/opt/", "/srv/", "/root/", "/go/src/", "/usr/local/lib/python", "/Users/", `C:\`, `D:\`}
	sourceEndings = []string{".py", ".js", ".ts", ".rb", ".php", ".go", ".java", ".cs", ".pl", ".rs", ".jsx", ".tsx"}
)

// sourcePath reports whether an error body holds the absolute path of a source
// file.
func sourcePath(body []byte) bool {
	b := prefix(body, maxErrorBody)
	for _, root := range sourceRoots {
		for rest := b; ; {
			i := bytes.Index(rest, []byte(root))
			if i < 0 {
				break
			}
			rest = rest[i:]
			path := prefix(rest, 256)
			if j := bytes.IndexAny(path, " \t\r\n\"'<>():,"); j > 0 && !(j == 1 && path[1] == ':') {
				path = path[:j]
			} else if j == 1 {
				if k := bytes.IndexAny(path[2:], " \t\r\n\"'<>(),:"); k >= 0 {
					path = path[:k+2]
				}
			}
			for _, end := range sourceEndings {
				if bytes.HasSuffix(path, []byte(end)) {
					return true
				}
			}
			rest = rest[len(root):]
		}
	}
	return false
}
