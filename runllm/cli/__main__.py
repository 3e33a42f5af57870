"""`python -m runllm.cli`."""

from runllm.cli import main

if __name__ == "__main__":
    main()
