package lab
import "io"
func WriteSVG(w io.Writer, rows []Row) error { return nil }
