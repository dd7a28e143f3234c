"""Drills: the disasters of the people who run mail, replayed whole. Fixtures are those of test/end."""
import importlib.util
import pathlib

END = pathlib.Path(__file__).resolve().parents[1] / "end"
spec = importlib.util.spec_from_file_location("end_conftest", END / "conftest.py")
end = importlib.util.module_from_spec(spec)
spec.loader.exec_module(end)
fresh, program, root = end.fresh, end.program, end.root
