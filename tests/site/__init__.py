"""The documentation as a site: copy the pages, build them, check what was built. `make site` does all three.

`pages` copies, `structure` reads HTML, `checks` compares the site with the pages as GitHub renders them.
"""
