/* Shows the tag with this server's own address in it. */
const name = '<script defer src="' + location.origin + '/widget/widget.js"\n        data-name="Support"></' + "script>";
document.getElementById("snippet").textContent = name;
